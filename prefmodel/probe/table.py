"""What `probe` found as a table for terminals, as Markdown and as JSON; numbers are rounded only when shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from prefmodel.probe.measure import CLEAR, WORST
from prefmodel.probe.results import ProbeReport, ProbeResult
from prefmodel.report import NONE, shown_estimate

HEADINGS = (
    "probe",
    "worse answer, logits",
    "in sd",
    "its score rises",
    "better answer, logits",
    "clear pairs flipped",
    "cut",
)


def as_text(report: ProbeReport) -> str:
    """Return aligned columns, and under them what they mean.

    >>> from prefmodel.baselines import longer
    >>> from prefmodel.probe.measure import probe
    >>> from prefmodel.types import PreferencePair
    >>> pair = PreferencePair("Why?", "Because of x.", "No idea.", axiom="human", source="demo")
    >>> print(as_text(probe(longer, [pair], ["claim"])).partition("\\n\\n")[0])
    probe  worse answer, logits    in sd  its score rises  better answer, logits  clear pairs flipped  cut
    claim           +50.000 [?]  +20.000        1.000 [?]            +25.000 [?]            1.000 [?]    -
    """
    rows = _rows(report)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])  # figures stand under figures
        for row in rows
    ]
    return "\n".join([*lines, "", *_notes(report)])


def as_markdown(report: ProbeReport) -> str:
    """Return the table and the notes for a model card."""
    rows = _rows(report)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    rule = "| --- |" + " ---: |" * (len(HEADINGS) - 1)
    return "\n".join([lines[0], rule, *lines[1:], "", *(f"- {note}" for note in _notes(report))])


def as_json(report: ProbeReport, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything as JSON values, unrounded, with an example of each probe; an unknown interval is null."""
    values: dict[str, Any] = _without_nan({"about": dict(about), "clear_probability": CLEAR, **asdict(report)})
    return values


def _rows(report: ProbeReport) -> list[list[str]]:
    rows = [list(HEADINGS)]
    for result in report.results:
        rows.append(
            [
                result.name,
                shown_estimate(result.shift, sign="+"),
                shown_estimate(result.shift_sd, sign="+").partition(" ")[0],  # its interval is that of the logits
                shown_estimate(result.rises),
                shown_estimate(result.shift_chosen, sign="+"),
                shown_estimate(result.flipped),
                NONE if result.cut is None else str(result.cut),
            ]
        )
    return rows


def _notes(report: ProbeReport) -> list[str]:
    """Return what the table means, a sentence or two a line."""
    results, clear = report.results, report.clear
    single = [result for result in results if result.name != WORST]
    most = max(single, key=lambda result: result.shift.value)
    notes = [
        f"Untouched: the better answer scores higher in {shown_estimate(report.accuracy)} of {report.pairs} pairs. "
        f"The sd of the scores is {report.sd:.2f} logits.",
        f"Clear pairs: {clear}, in which the better answer is ahead by {report.clear_margin:.2f} logits or more, "
        f"a probability of {_share(CLEAR)}.",
        "Flipped: the worse answer, with nothing but what the probe adds, beats the better one as it was.",
        f"{'The most is gained' if most.shift.value > 0 else 'The least is lost'} by {most.name}: "
        f"{most.shift.value:+.2f} logits, {_flips(most)} of {clear} clear pairs.",
    ]
    if len(results) > len(single):
        notes.append(
            f"Someone who may try them all, and keeps what raises an answer most ({WORST}), gains "
            f"{results[-1].shift.value:+.2f} logits and flips {_flips(results[-1])} of {clear}."
        )
    if any(_flips(result) == 0 for result in results):
        # Of n independent pairs none flips in 5% of samples when the share is 1 - .05 ** (1 / n).
        bound = _share(1 - 0.05 ** (1 / clear))
        notes.append(f"Where none flips the interval has no width; none of {clear} still fits a share of {bound}.")
    if report.cut is None:
        notes.append("Cut: this scorer does not tell what it did not see.")
    elif any(result.cut for result in results):
        notes.append(
            f"Cut: answers, of {2 * report.pairs}, that the model did not see whole; {report.cut} of those untouched."
        )
    if report.ignored:
        notes.append(f"Pairs ignored for a target of .5 or less: {report.ignored}.")
    return notes


def _flips(result: ProbeResult) -> int:
    return round(result.flipped.value * result.flipped.count)


def _share(value: float) -> str:
    """Return two or three decimals without the zero before the point.

    >>> _share(0.75), _share(0.109)
    ('.75', '.109')
    """
    return f"{value:.3g}".lstrip("0")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
