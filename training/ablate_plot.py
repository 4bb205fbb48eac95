"""The results of an ablation as a picture: the ladder, what leaving an axiom out does, and rungs by sets of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefmodel.picture import new_figure, save_figure
from prefmodel.report import HEADINGS
from training.ablate_results import headlines
from training.ablate_rungs import ALL, START, on_ladder

COLOURS = ("#2f6690", "#c8553d")
GREY, LIGHT = "#8a8f98", "#eeeeee"
APART = 0.22
"""Rows between the marks of two kinds of labels."""


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Draw the results to a PNG file, which appears whole or not at all.

    Args:
        results: what `training.ablate_results.results_of` returned.
        path: the picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    rungs, baselines = results["rungs"], results["baselines"]
    left = {name: found for name, found in rungs.items() if on_ladder(name)} | baselines
    right = {name: found for name, found in rungs.items() if not on_ladder(name)}
    right = {name: rungs[name] for name in (START, ALL) if right and name in rungs} | right
    points, cells = 0.34 * max(len(left), len(right)), 0.34 * (len(rungs) + len(baselines))
    size = (13, 3.6 + points + cells)
    figure = new_figure("the picture of the ablation", "train", figsize=size, layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.5 + points, 1.9 + cells))[:, 0]
    panels = [("the ladder of axioms", left), *([("one left out, or some alone", right)] if right else [])]
    axes = top.subplots(1, len(panels), sharex=True, squeeze=False)[0]
    for place, (title, rows) in zip(axes, panels, strict=True):
        _points(place, title, rows, headlines(results))
    top.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    about = results["about"]
    seeds = len(about["seeds"])
    text = f"Human labels, 95% intervals over questions; {about['pairs']:,} pairs a rung, dots: {seeds} seeds"
    top.suptitle(text.removesuffix("s" * (seeds == 1)), fontsize=12, x=0.01, ha="left")
    _heat(bottom, {**rungs, **baselines}, results["sets"])
    save_figure(figure, path)


def _points(axes: Any, title: str, rows: Mapping[str, Any], heads: Mapping[str, str]) -> None:
    """Draw the accuracy of each row as a mark with its interval, seeds as dots, the start as a line across."""
    for number, ((key, text), colour) in enumerate(zip(heads.items(), COLOURS, strict=False)):
        shift = APART * (number - (len(heads) - 1) / 2)
        places = [row + shift for row in range(len(rows))]
        found = [row["accuracy"][key] for row in rows.values()]
        for place, one in zip(places, found, strict=True):
            if one["low"] is not None:
                axes.plot([one["low"], one["high"]], [place, place], color=colour, linewidth=1.6)
        axes.plot([one["value"] for one in found], places, "o", color=colour, label=text)
        for place, row in zip(places, rows.values(), strict=True):
            seeds = row.get("seeds", {}).get(key, [])
            axes.plot(seeds, [place] * len(seeds), ".", color="black", markersize=2.5, zorder=3)
        if START in rows:
            axes.axvline(rows[START]["accuracy"][key]["value"], color=colour, linewidth=0.8, linestyle=":", zorder=0)
    axes.set_yticks(range(len(rows)), [HEADINGS.get(name, name) for name in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("pairs in which the preferred answer scores higher; dotted: the start")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=LIGHT)
    axes.set_axisbelow(True)


def _heat(figure: Any, rows: Mapping[str, Any], sets: Mapping[str, Any]) -> None:
    """Draw the accuracy of each row on each set; a frame marks what the row was trained on."""
    from matplotlib.patches import Rectangle

    axes = figure.subplots()
    shares = [[row["accuracy"][key]["value"] for key in sets] for row in rows.values()]
    image = axes.imshow(shares, aspect="auto", cmap="RdBu", vmin=0, vmax=1)
    for y, (row, values) in enumerate(zip(rows.values(), shares, strict=True)):
        for x, (key, value) in enumerate(zip(sets, values, strict=True)):
            colour = "white" if abs(value - 0.5) > 0.28 else "black"
            axes.text(x, y, f"{value:.3f}".removeprefix("0"), ha="center", va="center", fontsize=8.5, color=colour)
            if row.get("pairs", {}).get(key):
                axes.add_patch(Rectangle((x - 0.47, y - 0.44), 0.94, 0.88, fill=False, edgecolor=colour, linewidth=1.2))
    axes.set_xticks(range(len(sets)), _headings(sets), fontsize=8.5)
    axes.set_yticks(range(len(rows)), [HEADINGS.get(name, name) for name in rows])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, fraction=0.02, pad=0.01)
    text = "Accuracy on each set of pairs; framed: axioms that the rung is trained on"
    figure.suptitle(text, fontsize=12, x=0.01, ha="left")


def _headings(sets: Mapping[str, Any]) -> Sequence[str]:
    return [f"{name.replace('_', ' ')}\n{told['pairs']:,} pairs" for name, told in sets.items()]
