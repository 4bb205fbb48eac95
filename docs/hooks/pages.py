"""What the site takes from elsewhere in the repository, so that every text has one source.

- A line `<!-- include FILE -->` in a page stands for that file without its title, `<!-- include FILE "HEADING" -->` for
  the text under one of its headings, up to the next heading.
- Examples, recipes, measurements and the model card become pages of their own, and every command gets one.
- In included text a link to a file of the repository leads to the page that stands for it. One that leads nowhere is a
  warning of MkDocs, which ends a strict build.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from html import escape
from importlib.metadata import entry_points
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
COMMANDS = "reference/commands/"

TEXTS = ("model_card.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/RESULTS.md", "prefmodel/default/NOTICE.md")
"""Files that are pages as they are, as are the guides of `examples/`, but for those that are in a guide of the site."""

STANDS_FOR = {
    "README.md": "index.md",
    "examples/new_axiom.md": "guides/axiom.md",
    "axioms": "reference/axioms.md",
    "axioms/llm": "reference/axioms.md",
    "axioms/registry.py": "reference/axioms.md",
    "export": "reference/export.md",
    "prefmodel": "reference/prefmodel.md",
    "prefmodel/backends/interface.py": "reference/backends.md",
    "prefmodel/rewards/openrlhf.py": "reference/rewards.md",
    "prefmodel/types.py": "reference/types.md",
    "training": "reference/training.md",
    "training/config.py": "reference/training.md",
    "training/objectives": "reference/training.md",
}
"""The page that tells of a file or a folder of the repository, where that is not a copy of it."""

_INCLUDE = re.compile(r'^<!-- include (\S+)(?: "([^"]+)")? -->$', re.MULTILINE)
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(?=\))")
_COMMANDS_ALONE = re.compile(r"^```console\n(?![$])", re.MULTILINE)
"""A block of commands without what they print, which is coloured as what it is."""
_FENCE = re.compile(r"^(`{3,}|~{3,})")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of a folder in the place of its name in the navigation."""
    pages = sorted([*copies(), *(f"{COMMANDS}{name}.md" for name in commands())])

    def filled(items: list[Any]) -> list[Any]:
        return [
            {title: [page for page in pages if page.startswith(target)]}
            if isinstance(target, str) and target.endswith("/")
            else {title: filled(target) if isinstance(target, list) else target}
            for item in items
            for title, target in item.items()
        ]

    config.nav = filled(config.nav or [])
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the copies, the pages of the commands, and the pictures."""
    for page, source in copies().items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text if source.endswith(".md") else as_code(source, text)))
    for name, command in commands().items():
        files.append(File.generated(config, f"{COMMANDS}{name}.md", content=as_help(f"prefmodel {name}", command)))
    for picture in (ROOT / ".github").glob("*.*g"):
        files.append(File.generated(config, f"images/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Include what is to be included, and mend the links of what comes from elsewhere."""
    here = page.file.src_uri
    source = copies().get(here)
    if source is not None:
        markdown = relinked(markdown, source, here) if source.endswith(".md") else markdown
    return _COMMANDS_ALONE.sub("```bash\n", included(markdown, here))


def copies() -> dict[str, str]:
    """Return the file of each page that is a copy of one."""
    found = [
        path.relative_to(ROOT).as_posix() for folder in ("examples", "recipes") for path in (ROOT / folder).iterdir()
    ]
    files = [file for file in found if Path(file).suffix in (".md", ".py", ".sh", ".yaml", ".toml")]
    kept = [*TEXTS, "LICENSE", *sorted(files)]
    return {page_of(file): file for file in kept if file not in STANDS_FOR}


def commands() -> dict[str, click.Command]:
    """Return our commands of the command line by name, without those that other packages add."""
    points = entry_points(group="prefmodel.commands")
    return {point.name: point.load() for point in points if point.dist is not None and point.dist.name == "prefmodel"}


def as_help(name: str, command: click.Command) -> str:
    """Return the page of a command: what `--help` says, with the options as a table."""
    context = click.Context(command, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage: ")
    records = [
        record for option in command.get_params(context) if (record := option.get_help_record(context)) and record[1]
    ]
    rows = [f"<tr><td><code>{escape(option)}</code></td><td>{escape(text)}</td></tr>" for option, text in records]
    table = ["<table><thead><tr><th>Option</th><th>What it does</th></tr></thead><tbody>", *rows, "</tbody></table>"]
    told = escape(cleandoc(command.help or ""))
    return f"# {name}\n\n```text\n{usage}\n```\n\n{told}\n\n" + "\n".join(table) + "\n"


def page_of(file: str) -> str:
    """Return the name of the page that is a copy of a file.

    >>> page_of("recipes/small.toml"), page_of("model_card.md")
    ('recipes/small.toml.md', 'model_card.md')
    """
    return file if file.endswith(".md") else f"{file}.md"


def as_code(name: str, text: str) -> str:
    """Return a page that shows a file."""
    language = {"toml": "toml", "py": "python", "sh": "bash", "yaml": "yaml"}.get(name.rpartition(".")[2], "text")
    return f"# {posixpath.basename(name)}\n\n`{name}`\n\n````{language}\n{text.rstrip()}\n````\n"


def included(markdown: str, page: str) -> str:
    """Return the text of a page with all that it includes."""

    def text(match: re.Match[str]) -> str:
        file, heading = match.groups()
        return relinked(section((ROOT / file).read_text(encoding="utf-8"), heading), file, page)

    return _INCLUDE.sub(text, markdown)


def section(markdown: str, heading: str | None) -> str:
    """Return the text under a heading up to the next one; without a heading, all but the title.

    Raises:
        KeyError: there is no such heading.
    """
    parts: dict[str, list[str]] = {}
    lines = parts.setdefault("", [])
    for line, is_heading in headed(markdown):
        if is_heading and (heading is not None or line.startswith("# ")):
            lines = parts.setdefault(line.lstrip("# "), [])
        else:
            lines.append(line)
    found = parts[heading] if heading is not None else lines
    return "\n".join(found).strip()


def headed(markdown: str) -> Iterator[tuple[str, bool]]:
    """Yield the lines of a text, and whether each is a heading: a comment in code is none."""
    fence = ""
    for line in markdown.splitlines():
        opened = _FENCE.match(line)
        if opened and not fence:
            fence = opened[1]
        elif fence and line.rstrip() == fence:
            fence = ""
        yield line, not fence and line.startswith("#")


def relinked(markdown: str, source: str, page: str) -> str:
    """Return text of a file of the repository with its links as the page needs them.

    >>> relinked("[a recipe](../recipes/small.toml)", "examples/training.md", "guides/train.md")
    '[a recipe](../recipes/small.toml.md)'
    """
    copied = {file: name for name, file in copies().items()} | STANDS_FOR

    def link(match: re.Match[str]) -> str:
        before, target, anchor = match.groups()
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        wanted = copied.get(file)
        if file.startswith(".github/"):
            wanted = file.replace(".github/", "images/")
        if wanted is None:
            return match[0]
        return f"{before}{posixpath.relpath(wanted, posixpath.dirname(page) or '.')}{anchor or ''}"

    return _LINK.sub(link, markdown)
