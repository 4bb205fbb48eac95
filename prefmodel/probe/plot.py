"""What `probe` found as a picture; matplotlib comes with the extra `evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefmodel.errors import InputError, missing_extra
from prefmodel.files import whole_file

if TYPE_CHECKING:
    from prefmodel.intervals import Estimate
    from prefmodel.probe.results import ProbeReport

FORMATS = (".png", ".svg", ".pdf")


def check(path: Path) -> None:
    """Raise InputError or MissingExtraError where `draw` could not write its picture."""
    if path.suffix not in FORMATS or not path.parent.is_dir():
        raise InputError(f"--plot is {path}; allowed: {', '.join(FORMATS)} in a folder that exists")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise missing_extra("--plot", "evaluate") from None


def draw(report: ProbeReport, path: Path) -> None:
    """Draw by how much each probe moves the scores, and how many clear pairs it flips, with 95% intervals.

    Args:
        report: what `probe` returned.
        path: a file of one of `FORMATS`; it appears whole or not at all.
    """
    from matplotlib.figure import Figure  # without pyplot, which would keep the figure and look for a display

    names = [result.name for result in report.results]
    figure = Figure(figsize=(9, 1.5 + 0.35 * len(names)), layout="constrained")
    shifts, flips = figure.subplots(1, 2, sharey=True, width_ratios=(2, 1))
    _points(shifts, [result.shift for result in report.results], "worse answer", -0.12)
    _points(shifts, [result.shift_chosen for result in report.results], "better answer", 0.12)
    _points(flips, [result.flipped for result in report.results], "flipped", 0.0)
    shifts.axvline(0, color="grey", linewidth=0.8)
    shifts.set_yticks(range(len(names)), names)
    shifts.invert_yaxis()
    shifts.set_xlabel("change of the score, logits")
    shifts.legend()
    flips.set_xlim(-0.03, 1.03)
    flips.set_xlabel(f"share of {report.clear} clear pairs flipped")
    figure.suptitle(f"Scores raised without a better answer, {report.pairs} pairs, 95% intervals")
    with whole_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150)


def _points(axes: Any, estimates: list[Estimate], label: str, offset: float) -> None:
    """Draw one estimate a row, `offset` rows below its line; matplotlib leaves out an unknown interval, NaN."""
    places = [row + offset for row in range(len(estimates))]
    axes.hlines(places, [e.low for e in estimates], [e.high for e in estimates], alpha=0.5, color=_COLOURS[label])
    axes.plot([e.value for e in estimates], places, "o", markersize=5, label=label, color=_COLOURS[label])


_COLOURS = {"worse answer": "tab:red", "better answer": "tab:blue", "flipped": "tab:red"}
