"""`prefmodel export`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the bundle, new.")
@click.option(
    "--heldout",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of pairs not trained on; may be repeated. Default: those that the training run kept.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    type=click.Choice(["float32", "int8", "float16"]),
    help="Which graphs to keep; may be repeated. float16 is for GPUs. Default: float32 and int8.",
)
@click.option(
    "--length", "with_length", is_flag=True, help="Add the contribution length, fitted on held-out human labels."
)
@click.option(
    "--labels",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File of pairs not trained on, whose human labels set temperature and length; may be repeated. "
    "Default: the run's development pairs.",
)
@click.option("--torch", "keep_torch", is_flag=True, help="Keep the weights for the backend torch, for GPUs.")
def export(
    checkpoint: Path,
    output: Path,
    heldout: tuple[Path, ...],
    precisions: tuple[str, ...],
    with_length: bool,
    labels: tuple[Path, ...],
    keep_torch: bool,
) -> None:
    """Turn CHECKPOINT, the folder of a training run, into a bundle that is served without torch.

    Refuses an int8 or float16 graph that is too far from the trained model on held-out pairs.
    """
    from export.bundle import export as run

    kept = precisions or ("float32", "int8")
    folder = run(
        checkpoint, output, heldout, kept, lambda text: click.echo(text, err=True), keep_torch, with_length, labels
    )
    click.echo(folder)
