"""`prefmodel train`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from prefmodel.errors import InputError

TRACKERS = ("tensorboard", "wandb")


@click.command()
@click.argument("recipe", required=False, type=click.Path(path_type=Path))
@click.option("--data", "data_folder", type=click.Path(path_type=Path), help="Folder of the data files.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--resume", "stopped", type=click.Path(path_type=Path), help="Go on with the run in this folder.")
@click.option("--base", help="Pretrained start: a folder, or a name on the Hub. Default: the recipe's.")
@click.option("--blend-base", help="The same for train.blend_base, the weights that train.blend goes from.")
@click.option("--seed", type=click.IntRange(min=0), help="Default: the recipe's.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop after so many updates, resumable.")
@click.option(
    "--track", "trackers", multiple=True, type=click.Choice(TRACKERS), help="Log to it too; may be given twice."
)
def train(
    recipe: Path | None,
    data_folder: Path | None,
    output: Path | None,
    stopped: Path | None,
    base: str | None,
    blend_base: str | None,
    seed: int | None,
    max_steps: int | None,
    trackers: tuple[str, ...],
) -> None:
    """Train a preference model by RECIPE, a TOML file.

    The same command goes on where it was stopped; `prefmodel train --resume RUN` does too, with the recipe and the
    pairs in the folder of the run. Under `accelerate launch` or `torchrun` it trains on many devices.
    """
    if stopped is not None:
        given = {"RECIPE": recipe, "--data": data_folder, "-o": output, "--base": base, "--seed": seed}
        given["--blend-base"] = blend_base
        if both := [name for name, value in given.items() if value is not None]:
            raise InputError(f"--resume is given with {both[0]}; allowed: --resume with --max-steps and --track alone")
        from training.train import resume

        _tell(resume(stopped, max_steps, trackers))
        return
    if recipe is None or data_folder is None or output is None:
        names = {"RECIPE": recipe, "--data": data_folder, "-o": output}
        missing = next(name for name, value in names.items() if value is None)
        raise InputError(f"{missing} is missing; required: RECIPE, --data and -o, or --resume alone")
    from training.recipe import Recipe
    from training.train import train as run

    configuration = Recipe.read(recipe)
    if base is not None:
        configuration = replace(configuration, base=base)
    if blend_base is not None:
        configuration = replace(configuration, train=replace(configuration.train, blend_base=blend_base))
    if seed is not None:
        configuration = replace(configuration, seed=seed)
    _tell(run(configuration, data_folder, output, max_steps, trackers))


def _tell(folder: Path) -> None:
    from accelerate import PartialState

    if PartialState().is_main_process:
        click.echo(folder)
