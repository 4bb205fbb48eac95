"""`prefmodel card`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from prefmodel.bundle import Bundle

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.option("--model", metavar="PATH_OR_NAME", help="The bundle; by default the model that comes with the package.")
@click.option("-o", "--output", required=True, type=FILE, help="The card, such as BUNDLE/README.md.")
@click.option(
    "--evaluation", type=click.Path(path_type=Path, file_okay=False), help="Folder of `prefmodel evaluate --report`."
)
@click.option("--probes", type=FILE, help="What `prefmodel probe --markdown` printed.")
@click.option("--invariance", type=FILE, help="What `prefmodel invariance --format markdown` printed.")
@click.option("--ablation", type=FILE, help="The ablation.md of `prefmodel ablate`, whose picture goes to --pictures.")
@click.option("--speed", type=FILE, help="What `python -m benchmarks.speed` printed.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that pictures of the card are copied to. Default: that of the card.",
)
@click.option("--notes", type=FILE, help="Markdown with a section for each section of the card that a person comments.")
def card(
    model: str | None,
    output: Path,
    evaluation: Path | None,
    probes: Path | None,
    invariance: Path | None,
    ablation: Path | None,
    speed: Path | None,
    pictures: Path | None,
    notes: Path | None,
) -> None:
    """Write the model card of a bundle, from what it records and from what other commands printed of it.

    Every number in it is one that they printed; only the text of NOTES is a person's.
    """
    from export.card import Measured, card
    from prefmodel.bundle import Bundle
    from prefmodel.commands import print_text
    from prefmodel.files import check_not_read, whole_file

    reports = [evaluation / name for name in ("results.json", "results.md")] if evaluation else []
    check_not_read(output, [*reports, *filter(None, (probes, invariance, ablation, speed, notes))])
    bundle = Bundle.open(model)
    measured = Measured(
        results=None if evaluation is None else _results(evaluation / "results.json", bundle),
        evaluation=None if evaluation is None else _read(evaluation / "results.md"),
        probes=_read(probes),
        invariance=_read(invariance),
        ablation=None if ablation is None else _with_pictures(ablation, output.parent, pictures or output.parent),
        speed=_read(speed),
        notes=_sections(_read(notes) or ""),
    )
    written = card(bundle, measured)
    with whole_file(output) as temporary:
        temporary.write_text(written, encoding="utf-8", errors="replace")
    print_text(str(output))


def _results(path: Path, bundle: Bundle) -> dict[str, Any]:
    """Return what `evaluate` wrote of a bundle, on files that it was not trained on, as far as the card needs it."""
    from export.card import trained_on
    from prefmodel.errors import FileFormatError, InputError

    try:
        results = json.loads(_read(path) or "")
    except ValueError as error:
        raise FileFormatError(f"{path}: no JSON: {error}") from None
    files = results.get("files") if isinstance(results, dict) else None
    if not isinstance(files, dict):
        raise FileFormatError(f"{path}: no files; allowed: what `prefmodel evaluate` wrote")
    for name, file in files.items():
        missing = [fact for fact in ("pairs", "accuracy", "gpt4") if not isinstance(file, dict) or fact not in file]
        if missing:
            raise FileFormatError(f"{path}: no {missing[0]} of {name!r}; allowed: what `prefmodel evaluate` wrote")
    about = results.get("about") or {}
    graph = ((about.get("models") or {}).get("model") or {}).get("graph") or {}
    if graph and graph.get("sha256") not in {file["sha256"] for file in bundle.info["files"].values()}:
        raise InputError(f"{path}: is of another model; allowed: an evaluation of {bundle.folder}")
    learned = trained_on(bundle.info["training"])
    for name, file in (about.get("files") or {}).items():
        if file.get("sha256") in learned:
            raise InputError(f"{path}: {name} was trained on; allowed: an evaluation of files that were not")
    return dict(results)


def _read(path: Path | None) -> str | None:
    from prefmodel.errors import InputError

    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}; allowed: a text file that the command wrote") from None
    if not text.strip():
        raise InputError(f"{path} is empty; allowed: a text file that the command wrote")
    return text


def _with_pictures(path: Path, card: Path, pictures: Path) -> str:
    """Return a text whose pictures, which lie beside it, are copied to `pictures`, with links that hold in `card`."""
    from prefmodel.errors import InputError
    from prefmodel.files import whole_file

    def copied(match: re.Match[str]) -> str:
        before, name = match.groups()
        try:
            picture = (path.parent / name).read_bytes()
        except OSError as error:
            raise InputError(f"{path.parent / name} cannot be read: {error}; allowed: the picture of {path}") from None
        with whole_file(pictures / name) as temporary:
            temporary.write_bytes(picture)
        return f"{before}({Path(os.path.relpath(pictures, card), name).as_posix()})"

    return re.sub(r"(!\[[^\]]*\])\(([^)/]+)\)", copied, _read(path) or "")


def _sections(text: str) -> dict[str, str]:
    """Return title to text of each `## ` section."""
    from prefmodel.errors import InputError

    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    sections: dict[str, str] = {}
    for title, body in zip(map(str.strip, parts[::2]), parts[1::2], strict=True):
        if title in sections:
            raise InputError(f"--notes has the section {title!r} twice; allowed: once")
        sections[title] = body.strip()
    return sections
