"""The report of `prefmodel pairs` as a picture: lengths, and what tells the sides apart, by axiom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefmodel.picture import new_figure, save_figure

BLUE, RED, GREY, LIGHT = "#2f6690", "#c8553d", "#8a8f98", "#b9c9d6"


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draw a report to a PNG file, which appears whole or not at all.

    Args:
        report: what `axioms.report.report_of` returned.
        path: the picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    axioms = {name: found for name, found in report["axioms"].items() if found["pairs"]}
    names = [f"{name}  ({found['pairs']:,})" for name, found in axioms.items()]
    size = (12, 1.9 + 0.42 * len(names))
    figure = new_figure("the picture of the report", "axioms", figsize=size, layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)
    lengths, tells = figure.subplots(1, 2, sharey=True)
    _lengths(lengths, [found["length_ratio"] for found in axioms.values()])
    _tells(tells, list(axioms.values()), report["leak_limit"])
    lengths.set_yticks(range(len(names)), names)
    lengths.set_ylim(len(names) - 0.5, -0.5)
    for axes in (lengths, tells):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color="#eeeeee")
    figure.suptitle(f"{report['pairs']:,} pairs: does anything but the principle tell the chosen answer?", fontsize=12)
    save_figure(figure, path, dots=150)


def _lengths(axes: Any, quantiles: list[list[float]]) -> None:
    """Draw for each axiom how the lengths of the sides compare: 90%, 50% and the median of its pairs."""
    rows = range(len(quantiles))
    low, quarter, median, three_quarters, high = zip(*quantiles, strict=True)
    axes.axvline(1, color=GREY, linewidth=1)
    axes.hlines(rows, low, high, color=LIGHT, linewidth=2, label="90% of the pairs")
    axes.hlines(rows, quarter, three_quarters, color=BLUE, linewidth=7, label="50%")
    axes.plot(median, rows, "o", color="white", markeredgecolor=BLUE, markersize=6, label="median")
    axes.set_xscale("log", base=2)
    reach = max(2.0, *(max(high), 1 / max(min(low), 1e-6)))
    axes.set_xlim(1 / (reach * 1.15), reach * 1.15)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×" if value >= 1 else f"1/{1 / value:g}")
    axes.set_xlabel("length of the chosen answer by that of the rejected")
    _legend(axes)


def _tells(axes: Any, axioms: list[Mapping[str, Any]], limit: float) -> None:
    """Draw for each axiom how often a bag of words, the length and the word overlap find the chosen answer."""
    axes.axvspan(limit, 1, color=RED, alpha=0.06, linewidth=0)
    axes.axvline(limit, color=RED, linewidth=1, linestyle="--")
    axes.axvline(0.5, color=GREY, linewidth=1)
    leaks = [(row, found["leak"]) for row, found in enumerate(axioms) if found["leak"]]
    places = [row for row, _ in leaks]
    axes.hlines(
        places, [leak["low"] for _, leak in leaks], [leak["high"] for _, leak in leaks], color=BLUE, linewidth=2
    )
    axes.plot([leak["accuracy"] for _, leak in leaks], places, "o", color=BLUE, label="bag of words, no question")
    rows = range(len(axioms))
    style = {"color": GREY, "markersize": 6, "linestyle": "none", "fillstyle": "none"}
    axes.plot([found["longer_wins"] for found in axioms], rows, "D", label="the longer answer", **style)
    axes.plot([found["word_overlap_wins"] for found in axioms], rows, "^", label="words of the question", **style)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.text(limit + 0.01, -0.45, f"{limit:.0%}", color=RED, fontsize=8.5, va="top")
    axes.set_xlabel("pairs in which it finds the chosen answer")
    _legend(axes)


def _legend(axes: Any) -> None:
    axes.legend(
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=3,
        frameon=False,
        fontsize=8.5,
        columnspacing=1.2,
        handletextpad=0.4,
    )
