"""`prefmodel train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--data", "data_folder", required=True, type=click.Path(path_type=Path), help="Folder of the data files.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--base", help="Pretrained start: a folder, or a name on the Hub. Default: the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), help="Default: the recipe's.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop after so many updates, resumable.")
def train(
    recipe: Path, data_folder: Path, output: Path, base: str | None, seed: int | None, max_steps: int | None
) -> None:
    """Train a preference model by RECIPE, a TOML file. The same command goes on where it was stopped."""
    from training.recipe import Recipe
    from training.train import train as run

    configuration = Recipe.read(recipe)
    if base is not None:
        configuration = replace(configuration, base=base)
    if seed is not None:
        configuration = replace(configuration, seed=seed)
    click.echo(run(configuration, data_folder, output, max_steps))
