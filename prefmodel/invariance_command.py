"""`prefmodel invariance`: whether a score stays where nothing that matters changes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefmodel.commands import load, model_options, print_text
from prefmodel.splits import SPLITS

if TYPE_CHECKING:
    from prefmodel.types import PreferencePair


@click.command()
@click.argument("pairs", type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(SPLITS), help="Keep only the pairs whose question is in this split.")
@click.option(
    "--count", type=click.IntRange(min=1), default=300, show_default=True, help="Pairs of each kind, at most."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draw and the intervals.")
@click.option("--format", "form", type=click.Choice(["text", "markdown", "json"]), default="text", show_default=True)
@model_options
def invariance(pairs: Path, split: str | None, count: int, seed: int, form: str, **options: Any) -> None:
    """Measure how far scores move between answers of which neither is better.

    PAIRS are what `prefmodel pairs --axioms invariance` builds: men and women swapped, other names, a greeting, other
    formatting. The table has the mean absolute shift of each kind, in standard deviations of the scores of all answers.
    """
    from prefmodel.evaluate_command import Progress, Reading
    from prefmodel.invariance import ALLOWED, invariance
    from prefmodel.report import columns, pipes, shown_estimate

    drawn, neither, read = _drawn(pairs, split, count, seed)
    click.echo(f"{read} pairs, of which neither side is better in {neither}; {len(drawn)} of these are drawn", err=True)
    reader = Reading(load(options))
    report = invariance(Progress(reader, "invariance"), drawn, seed)
    cut = sum(reader.cut(pair.question, answer) > 0 for pair in drawn for answer in (pair.chosen, pair.rejected))
    if cut:
        click.echo(f"{cut} of {2 * len(drawn)} answers were too long to be read whole", err=True)
    if form == "json":
        known = json.loads(json.dumps(asdict(report)), parse_constant=lambda _: None)  # an unknown interval is null
        print_text(json.dumps(known))
        return
    rows = [["change", "pairs", "mean shift, sd", f"within {ALLOWED:.2f}"]]
    for kind, shift in report.shifts.items():
        rows.append([kind, str(shift.count), shown_estimate(shift), "yes" if shift.value <= ALLOWED else "no"])
    if form == "markdown":
        print_text(pipes(rows))
    else:
        print_text(f"{columns(rows)}\n\nstandard deviation of the scores: {report.spread:.3f} logits")


def _drawn(path: Path, split: str | None, count: int, seed: int) -> tuple[list[PreferencePair], int, int]:
    """Return pairs with a target of 1/2, up to `count` of each kind at random; how many such there are, and of all."""
    from collections import defaultdict
    from random import Random

    from prefmodel.errors import FileFormatError
    from prefmodel.invariance import kind_of
    from prefmodel.scorable import scorable_pairs

    kinds: dict[str, list[PreferencePair]] = defaultdict(list)
    read = 0
    for pair in scorable_pairs(path, split):
        read += 1
        if pair.target == 0.5:
            kinds[kind_of(pair)].append(pair)
    if not kinds:
        where = f" in split {split}" if split else ""
        raise FileFormatError(f"{path}: none of {read} pairs{where} has a target of 1/2; allowed: at least one")
    random = Random(seed)
    drawn = [pair for _, those in sorted(kinds.items()) for pair in random.sample(those, min(count, len(those)))]
    return drawn, sum(map(len, kinds.values())), read
