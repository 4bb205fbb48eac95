"""`prefmodel invariance`: whether a score stays where nothing that matters changes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from prefmodel.commands import load, model_options, print_text
from prefmodel.splits import SPLITS


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
    from prefmodel.evaluate_command import Progress
    from prefmodel.invariance import ALLOWED, invariance
    from prefmodel.report import columns, pipes, shown_estimate

    kept = _drawn(pairs, split, count, seed)
    report = invariance(Progress(load(options), "invariance"), kept, seed)
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


def _drawn(path: Path, split: str | None, count: int, seed: int) -> list[Any]:
    """Return so many pairs of each kind, at random, of those with a target of 1/2."""
    from collections import defaultdict
    from random import Random

    from prefmodel.files import read_pairs
    from prefmodel.splits import split_of

    kinds: dict[str, list[Any]] = defaultdict(list)
    for pair in read_pairs(path):
        if pair.target == 0.5 and (split is None or split_of(pair.question) == split):
            kinds[str(pair.provenance.get("recipe") or pair.axiom)].append(pair)
    random = Random(seed)
    return [pair for _, those in sorted(kinds.items()) for pair in random.sample(those, min(count, len(those)))]
