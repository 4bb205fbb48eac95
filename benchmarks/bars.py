"""Bars with their range over rounds, one panel above the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median


def draw_bars(
    panels: Mapping[str, Mapping[str, Sequence[float]]], ours: Sequence[str], title: str, path: Path, height: float
) -> None:
    """Draw a bar for the median of each name's values, the first at the top, with a line from the least to the most.

    Args:
        panels: label of the axis to name to values, one for each round.
        ours: names that begin so are in colour.
        title: of the whole.
        path: the picture.
        height: of a panel, inches.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(len(panels), figsize=(8, height * len(panels)), layout="constrained", squeeze=False)
    for axes, (label, found) in zip(places[:, 0], panels.items(), strict=True):
        names = [*found][::-1]  # from the bottom up
        speeds = [found[name] for name in names]
        middle = [median(values) for values in speeds]
        around = [
            [m - min(values) for m, values in zip(middle, speeds, strict=True)],
            [max(values) - m for m, values in zip(middle, speeds, strict=True)],
        ]
        colours = ["tab:blue" if name.startswith(tuple(ours)) else "tab:grey" for name in names]
        bars = axes.barh(names, middle, xerr=around, color=colours, ecolor="black", capsize=2)
        axes.bar_label(bars, [f"{m:.1f}" for m in middle], padding=6)
        axes.set_xlabel(label)
        axes.margins(x=0.12)
    figure.suptitle(title)
    figure.savefig(path, dpi=150)
    plt.close(figure)
