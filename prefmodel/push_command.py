"""The sub-command `push`: uploads a bundle to the Hugging Face Hub, where `--model owner/name` finds it."""

from __future__ import annotations

import re
from pathlib import Path

import click

from prefmodel.errors import InputError, PrefModelError, one_line, shown

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
BESIDE = ("README.md", "NOTICE.md", "ablation.png")
"""Files that go along with those that the bundle lists, where they are there."""


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Make the repository private, if it is a new one.")
@click.option("--message", default="Upload a prefmodel bundle", show_default=True, help="Of the commit.")
@click.option("--dry-run", is_flag=True, help="Check the bundle and name its files; upload nothing.")
def push(bundle: Path, repository: str, private: bool, message: str, dry_run: bool) -> None:
    """Upload the files of BUNDLE to the repository OWNER/NAME on the Hugging Face Hub.

    The bundle is checked first; other files in its folder stay where they are. The token is that of `hf auth login` or
    of HF_TOKEN. Prints where they are; a dry run prints bytes and name of each file.
    """
    names = files_to_push(bundle)
    if not REPOSITORY.fullmatch(repository):
        raise InputError(f"OWNER/NAME is {shown(repository)}; allowed: two names with a slash between them")
    for name in names:
        click.echo(f"{(bundle / name).stat().st_size}\t{name}", err=not dry_run)
    if dry_run:
        click.echo(f"nothing is uploaded to {repository}", err=True)
        return
    click.echo(upload(bundle, names, repository, private, message))


def files_to_push(bundle: str | Path) -> list[str]:
    """Return the names of a bundle's files, `/` between folders, after a check of their hashes.

    Args:
        bundle: a folder.

    Raises:
        BundleError: it is none, or damaged.
        InputError: it has no `README.md`, which the Hub shows as the model's card.

    >>> from prefmodel.bundle import DEFAULT
    >>> "prefmodel.json" in files_to_push(DEFAULT), "README.md" in files_to_push(DEFAULT)
    (True, True)
    """
    from prefmodel.bundle import Bundle
    from prefmodel.bundle_files import MANIFEST

    folder = Path(bundle)
    if not folder.is_dir():
        raise InputError(f"BUNDLE is {folder}; allowed: a folder that `prefmodel export` wrote")
    listed = Bundle.open(folder).info["files"]
    if not (folder / "README.md").is_file():
        raise InputError(
            f"{folder} has no README.md, the model's card; allowed: a folder that `prefmodel export` wrote"
        )
    return sorted({*listed, MANIFEST, *(name for name in BESIDE if (folder / name).is_file())})


def upload(bundle: Path, names: list[str], repository: str, private: bool, message: str) -> str:
    """Upload files in one commit and return its address.

    Raises:
        PrefModelError: the Hub refuses it, or cannot be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        return str(
            api.upload_folder(
                repo_id=repository, folder_path=str(bundle), allow_patterns=names, commit_message=message
            ).commit_url
        )
    except Exception as error:  # of the hub, of its HTTP client, of the file system: no common base
        raise PrefModelError(f"{repository}: not uploaded: {one_line(error)}") from None
