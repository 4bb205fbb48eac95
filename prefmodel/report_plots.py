"""The pictures of an evaluation: accuracy by file, by length, and probability against truth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prefmodel.best_of_n import IDEAL, BestOfN
from prefmodel.calibration import Calibration
from prefmodel.evaluation import FileResult, PooledResult
from prefmodel.intervals import Estimate, clustered_interval
from prefmodel.picture import new_figure
from prefmodel.report import HEADINGS

MODEL, OTHERS = "#1f5a8a", ("#c46a1b", "#7a7a7a", "#5b8c3e", "#8a4f7d", "#b0a030")
GPT4 = "#111111"
FEWEST = 10
"""Pairs of a bin of probabilities that is drawn; fewer say nothing."""
EDGES = (-math.inf, -1.5, -0.75, -0.25, 0.25, 0.75, 1.5, math.inf)
"""Of bins of the base-2 logarithm of the length of chosen by that of rejected."""


def by_file(files: Mapping[str, FileResult], pooled: PooledResult) -> Any:
    """Return a figure of each scorer's accuracy in each file, with 95% intervals; GPT-4's where the pairs have it."""
    rows: dict[str, tuple[Mapping[str, Estimate], Estimate | None]] = {
        name: (result.accuracy, result.gpt4) for name, result in files.items()
    }
    rows["mean of files"] = pooled.macro, None
    figure = _figure(7.5, 1.2 + 0.5 * len(rows))
    axes = figure.add_subplot()
    for i, (found, gpt4) in enumerate(rows.values()):
        points = [*found.values(), gpt4]
        colours = [*_colours(list(found)), GPT4]
        for k, (point, colour) in enumerate(zip(points, colours, strict=True)):
            if point is not None:
                y = i + 0.13 * (k - (len(points) - 1) / 2)
                _dot(axes, point, y, colour, large=k == 0)
    names = [*map(_heading, pooled.macro), *(["GPT-4"] if any(g for _, g in rows.values()) else [])]
    for name, colour in zip(names, [*_colours(list(pooled.macro)), GPT4], strict=False):
        axes.plot([], [], "o", color=colour, label=name)
    axes.axvline(0.5, color="#999999", linewidth=0.8)
    axes.set_yticks(range(len(rows)), rows)
    axes.invert_yaxis()
    axes.set_xlabel("agreement with the labels")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1 + 0.45 / len(rows)), ncols=6, frameon=False, fontsize=8)
    return figure


def by_length(files: Sequence[FileResult]) -> Any:
    """Return a figure of each scorer's accuracy against how much longer the chosen answer is, over all pairs."""
    figure = _figure(7.5, 3.2)
    axes = figure.add_subplot()
    ratio = np.concatenate([f.ratio for f in files]) / math.log(2)
    shifts = np.cumsum([0, *(f.questions for f in files)])
    clusters = np.concatenate([f.clusters + shift for f, shift in zip(files, shifts, strict=False)])
    places = np.digitize(ratio, EDGES[1:-1])
    names = list(files[0].correct)
    for name, colour in zip(names, _colours(names), strict=True):
        right = np.concatenate([f.correct[name] for f in files])
        points = []
        for place in np.unique(places):
            own = places == place
            low, high = clustered_interval(right[own], clusters[own])
            points.append((float(np.median(ratio[own])), Estimate(float(right[own].mean()), low, high, int(own.sum()))))
        x = [at for at, _ in points]
        axes.plot(x, [e.value for _, e in points], color=colour, label=_heading(name), marker="o", markersize=4)
        if name == names[0]:
            axes.fill_between(x, [e.low for _, e in points], [e.high for _, e in points], color=colour, alpha=0.15)
    axes.axhline(0.5, color="#999999", linewidth=0.8)
    axes.axvline(0, color="#999999", linewidth=0.8)
    axes.set_xticks(range(math.floor(x[0]), math.ceil(x[-1]) + 1))  # whole powers of 2
    axes.xaxis.set_major_formatter(lambda value, _: f"{2.0**value:.3g}×")
    axes.set_xlabel("length of the chosen answer by that of the rejected")
    axes.set_ylabel("agreement")
    axes.legend(frameon=False, fontsize=8)
    return figure


def best_of(name: str, found: BestOfN) -> Any:
    """Return a figure of how good the answer is that each scorer picks among n of a question."""
    figure = _figure(6.8, 3.4)
    axes = figure.add_subplot()
    for i, (scorer, colour) in enumerate(zip(found.curves, [*_colours(list(found.curves)[:-1]), GPT4], strict=True)):
        curve = found.curves[scorer]
        x = range(1, len(curve) + 1)
        style = "--" if scorer == IDEAL else "-"
        axes.plot(x, [e.value for e in curve], style, color=colour, label=_heading(scorer), marker="o", markersize=3)
        if i == 0:
            axes.fill_between(x, [e.low for e in curve], [e.high for e in curve], color=colour, alpha=0.15)
    axes.axhline(0.5, color="#999999", linewidth=0.8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(f"answers to pick from, {name}")
    axes.set_ylabel("comparisons won by the picked one")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def reliability(name: str, plain: Calibration, own: Calibration) -> Any:
    """Return a figure of how often a model is right against how sure it is, before and after its temperature.

    Bins with fewer than `FEWEST` pairs are left out.
    """
    figure = _figure(4.2, 3.6)
    axes = figure.add_subplot()
    axes.plot([0.5, 1], [0.5, 1], color="#999999", linewidth=0.8)
    for found, colour, label in ((plain, OTHERS[1], "temperature 1"), (own, MODEL, f"its own, {own.temperature:.3g}")):
        drawn = [b for b in found.bins if b.accuracy.count >= FEWEST]
        x, y = [b.confidence for b in drawn], [b.accuracy.value for b in drawn]
        low = [b.accuracy.value - _known(b.accuracy.low, b.accuracy.value) for b in drawn]
        high = [_known(b.accuracy.high, b.accuracy.value) - b.accuracy.value for b in drawn]
        axes.errorbar(x, y, [low, high], color=colour, marker="o", markersize=4, label=label, capsize=2, linewidth=1)
    axes.set_xlabel(f"probability of the better answer, {name}")
    axes.set_ylabel("agreement")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _figure(width: float, height: float) -> Any:
    return new_figure("the picture of an evaluation", "evaluate", figsize=(width, height), layout="constrained")


def _dot(axes: Any, point: Estimate, y: float, colour: str, large: bool) -> None:
    if not math.isnan(point.low):
        axes.plot([point.low, point.high], [y, y], color=colour, linewidth=1.2)
    axes.plot(point.value, y, "o", color=colour, markersize=6 if large else 4)


def _colours(names: Sequence[str]) -> list[str]:
    """Return a colour for each scorer; the first is the model."""
    return [MODEL, *(OTHERS[i % len(OTHERS)] for i in range(len(names) - 1))]


def _heading(name: str) -> str:
    return HEADINGS.get(name, name)


def _known(value: float, instead: float) -> float:
    return instead if math.isnan(value) else value
