"""The log of a run as a picture: loss, gradient and development accuracy by update."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefmodel.picture import new_figure, save_figure

BLUE, GREY, LIGHT = "#2f6690", "#8a8f98", "#b9c9d6"
SMOOTH = 0.03
"""Share of the updates that a smoothed curve is the running mean of."""


def draw_curves(entries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the lines of a log to a PNG file, which appears whole or not at all.

    Args:
        entries: a line an update, with `step`, `loss`, `norm` and, now and then, `dev`; nothing is drawn of none.
        path: the picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    figure = new_figure("the picture of the curves", "train", figsize=(13, 4), layout="constrained")
    if not entries:
        return
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    loss, norm, dev = figure.subplots(1, 3)
    steps = [entry["step"] for entry in entries]
    _curve(loss, steps, [entry["loss"] for entry in entries], "loss of a pair")
    loss.axhline(math.log(2), color=GREY, linewidth=1, linestyle=":")
    loss.annotate("guessing", (steps[-1], math.log(2)), color=GREY, fontsize=8, va="bottom", ha="right")
    _curve(norm, steps, [entry["norm"] for entry in entries], "length of the gradient, before clipping")
    norm.set_yscale("log")
    norm.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    norm.yaxis.set_minor_locator(NullLocator())
    norm.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _accuracy(dev, entries)
    for axes in (loss, norm, dev):
        axes.set_xlabel("update")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#eeeeee")
        axes.set_axisbelow(True)
    save_figure(figure, path)


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """Return the mean of each value and those before it, `width` at most.

    >>> running_mean([1.0, 3.0, 5.0], width=2)
    [1.0, 2.0, 4.0]
    """
    windows = (values[max(0, i + 1 - width) : i + 1] for i in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def _curve(axes: Any, steps: Sequence[int], values: Sequence[float], title: str) -> None:
    axes.plot(steps, values, color=LIGHT, linewidth=0.8)
    axes.plot(steps, running_mean(values, max(1, round(SMOOTH * len(values)))), color=BLUE, linewidth=1.6)
    axes.set_title(title, fontsize=10)


def _accuracy(axes: Any, entries: Sequence[Mapping[str, Any]]) -> None:
    looks = [(entry["step"], entry["dev"]) for entry in entries if entry.get("dev")]
    axes.set_title("accuracy on development pairs", fontsize=10)
    axes.axhline(0.5, color=GREY, linewidth=1, linestyle=":")
    if not looks:
        axes.text(0.5, 0.5, "no look at development pairs", transform=axes.transAxes, ha="center", color=GREY)
        return
    names = sorted({name for _, dev in looks for name in dev})
    for name in names:
        points = [(step, dev[name]) for step, dev in looks if name in dev]
        axes.plot(*zip(*points, strict=True), linewidth=1, marker=".", label=name)
    if len(names) > 1:
        mean = [(step, sum(dev.values()) / len(dev)) for step, dev in looks]
        axes.plot(*zip(*mean, strict=True), color="black", linewidth=2, marker="o", markersize=4, label="mean")
    axes.legend(frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
