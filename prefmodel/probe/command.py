"""`prefmodel probe`: how far a score can be raised without a better answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefmodel.commands import json_option, model_options, print_text
from prefmodel.probe.registry import PROBES, checked

if TYPE_CHECKING:
    from prefmodel.types import PreferencePair

# As in `prefmodel.commands`, what needs numpy is imported when the command runs.


@click.command()
@click.argument("pairs", required=False, type=click.Path(path_type=Path), metavar="[PAIRS]")
@click.option("--probes", metavar="NAME,...", help=f"Only these: {', '.join(PROBES)}.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of phrasings and intervals.")
@click.option("--markdown", is_flag=True, help="Print the table for a model card.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw it too, as .png, .svg or .pdf.")
@json_option
@model_options
def probe(
    pairs: Path | None,
    probes: str | None,
    seed: int,
    markdown: bool,
    plot: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how far a score can be raised without a better answer.

    Each probe adds flattery, filler, orders to the judge and the like to the answers of PAIRS (.jsonl, .jsonl.gz or
    .parquet), by default to those that come with the package. The table tells by how many logits that moves the score
    of the worse and of the better answer, and in which share of the clear pairs the worse one then wins.
    """
    if markdown and as_json:
        raise click.UsageError("give either --json or --markdown")
    names = tuple(PROBES) if probes is None else checked(tuple(name.strip() for name in probes.split(",")))
    from prefmodel.files import sha256
    from prefmodel.model import PreferenceModel
    from prefmodel.probe import measure, table

    path = measure.PAIRS if pairs is None else pairs
    kept = _read(path)
    if plot is not None:
        from prefmodel.probe.plot import check  # says now, not after the work, what it lacks

        check(plot)
    model = PreferenceModel.from_pretrained(
        options["model"], options["revision"], options["precision"], options["threads"], options["backend"]
    )
    report = measure.probe(model, kept, names, seed=seed)
    about = {
        "model": str(model.bundle.folder),
        "precision": model.bundle.precision,
        "backend": model.backend.name,
        "compute": model.backend.compute,
        "temperature": model.bundle.temperature,
        "pairs": str(path),
        "pairs_sha256": sha256(path),
        "seed": seed,
    }
    if as_json:
        import json

        text = json.dumps(table.as_json(report, about), ensure_ascii=False, allow_nan=False)
    else:
        text = table.as_markdown(report) if markdown else table.as_text(report)
    try:  # neither is lost where the other cannot be written
        if plot is not None:
            from prefmodel.probe.plot import draw

            draw(report, plot)
    finally:
        print_text(text)


def _read(path: Path) -> list[PreferencePair]:
    """Return the pairs of a file, checked for what a model cannot score."""
    from prefmodel.errors import FileFormatError
    from prefmodel.scorable import scorable_pairs

    kept = list(scorable_pairs(path))
    if not any(pair.target > 0.5 for pair in kept):
        raise FileFormatError(f"{path}: no pairs to probe; allowed: at least one with a target above .5")
    return kept
