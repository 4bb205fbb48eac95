"""`prefmodel ablate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--data", "data_folder", required=True, type=click.Path(path_type=Path), help="Folder of the data files.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the results and of all runs, each with its checkpoint.",
)
@click.option("--base", help="Pretrained start: a folder, or a name on the Hub. Default: the recipe's.")
@click.option(
    "--pairs", type=click.IntRange(min=1), help="Training pairs of each rung. Default: what all have, at most 2,000."
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each rung.")
@click.option("--rungs", metavar="A,B", help="Such as start,0,0-1,without-relevance. Default: every one.")
@click.option(
    "--labels",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Labelled pairs to measure on beside the held-out ones, never trained on; may be repeated.",
)
def ablate(
    recipe: Path,
    data_folder: Path,
    output: Path,
    base: str | None,
    pairs: int | None,
    seeds: int,
    rungs: str | None,
    labels: tuple[Path, ...],
) -> None:
    """Train the ladder of axioms of RECIPE at an equal budget, and measure every rung on the same pairs.

    The rungs: the untouched start; axiom 0 (usefulness), 0-1 (and relevance), up to 0-5 (groundedness, truthfulness,
    relevant_grounding, thoroughness); all of the recipe's; all without each one; human labels alone; axioms alone. The
    same command goes on where it was stopped.
    """
    from training.ablate import Options, ablate
    from training.ablate_report import as_tables
    from training.recipe import Recipe

    configuration = Recipe.read(recipe)
    if base is not None:
        configuration = replace(configuration, base=base)
    names = None if rungs is None else [name.strip() for name in rungs.split(",")]
    options = Options(configuration, data_folder, output, pairs, seeds, names, labels)
    click.echo(as_tables(ablate(options, lambda text: click.echo(text, err=True))))
