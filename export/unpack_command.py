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
    help="Which graph to read. Default: float32 where the bundle has one, else int8.",
)
@click.option("--revision", help="Branch, tag or commit, for the Hub only.")
def unpack(bundle: str | None, output: Path, precision: str | None, revision: str | None) -> None:
    """Turn BUNDLE back into a checkpoint, to be trained on: `prefmodel train RECIPE --base OUTPUT`.

    BUNDLE is a folder or a name on the Hub; without it the default model is unpacked. It takes about a minute, and
    needs the extras train and export.
    """
    from export.unpack import unpack as run

    click.echo(run(bundle, output, precision, revision, lambda text: click.echo(text, err=True)))
