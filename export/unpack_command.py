"""`prefmodel unpack`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("bundle", required=False)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the checkpoint, new.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "int8"]),
    help="Which graph to read. Default: the weights kept for torch, else float32, else int8.",
)
def unpack(bundle: str | None, output: Path, precision: str | None) -> None:
    """Turn BUNDLE back into a checkpoint, to be trained on: `prefmodel train RECIPE --base OUTPUT`.

    BUNDLE is a folder or a name on the Hub; without it the default model is unpacked.
    """
    from export.unpack import unpack as run

    click.echo(run(bundle, output, precision))
