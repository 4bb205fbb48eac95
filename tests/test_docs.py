"""The documentation site: it builds without a warning, needs no other server, and shows what the package does."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from prefmodel.bundle import FORMAT
from prefmodel.bundle_files import LIMITS
from prefmodel.cli import main
from tests.console import blocks, check_shown, shown

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GUIDES = sorted((DOCS / "guides").glob("*.md"))
TEXTS = [DOCS / "index.md", *GUIDES, ROOT / "README.md", *sorted((ROOT / "examples").glob("*.md"))]
"""The pages with commands on them; the README and the examples are parts of the guides."""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if any(find_spec(module) is None for module in ("mkdocs", "material", "mkdocstrings")):
        pytest.skip("the site is built with the extra 'docs', which is not installed")
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_guides_are_there(site: Path) -> None:
    asked = {"first-score", "train", "axiom", "trainer", "serve", "evaluate", "bundle"}
    assert asked <= {guide.stem for guide in GUIDES}
    for guide in GUIDES:
        assert "<h1" in read(site / "guides" / f"{guide.stem}.html")


@pytest.mark.parametrize(
    ("page", "target"),
    [
        ("prefmodel", "prefmodel.score"),
        ("prefmodel", "prefmodel.PreferenceModel.compare"),
        ("types", "prefmodel.types.PreferencePair"),
        ("rewards", "prefmodel.rewards.TRLReward.__call__"),
        ("evaluation", "prefmodel.evaluation.evaluate_pairs"),
        ("bundle", "prefmodel.bundle.Bundle.open"),
        ("axioms", "axioms.relevance.build"),
        ("training", "training.objectives.bradley_terry.bradley_terry"),
        ("export", "export.bundle.export"),
    ],
)
def test_reference(site: Path, page: str, target: str) -> None:
    assert f'id="{target}"' in read(site / "reference" / f"{page}.html")


def test_doctests_are_examples(site: Path) -> None:
    for page in (site / "reference").glob("*.html"):
        assert "<blockquote>" not in read(page), page.name
    assert "Examples:" in read(site / "reference" / "prefmodel.html")


def test_every_command_has_a_page_with_all_its_options(site: Path) -> None:
    for command in main.list_commands(click.Context(main)):
        text = read(site / "reference" / "commands" / f"{command}.html")
        for parameter in found(command).params:
            if isinstance(parameter, click.Option):
                assert all(option in text for option in parameter.opts), (command, parameter.opts)


def test_what_is_included(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "<!-- include" not in read(page)
    assert "GRPOTrainer" in read(site / "examples" / "grpo.py.html")
    assert 'href="../recipes/small.toml.html"' in read(site / "guides" / "train.html")
    assert (site / "images" / "data-flow.svg").is_file()


def test_nothing_is_loaded_from_other_servers(site: Path) -> None:
    for page in site.rglob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", read(page))
        assert [tag for tag in tags if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag)] == [], page
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//", read(sheet)) == [], sheet


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_pages_and_search_work_without_a_server(site: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.extend([request.url] * request.url.startswith("http")))
        page.goto((site / "index.html").as_uri())
        page.get_by_role("link", name="Write an axiom").first.click()
        assert page.inner_text("h1").startswith("Write an axiom")
        page.locator("input.md-search__input").press_sequentially("bradley_terry")
        page.wait_for_selector("a.md-search-result__link[href*='training.html']", state="attached", timeout=60_000)
        assert problems == []
        browser.close()


# What the guides show


def test_guides_show_commands() -> None:
    assert len([command for path in GUIDES for command in invocations(read(path))]) >= 10
    assert len([command for path in GUIDES for command in shown(read(path))]) >= 3


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_commands_are_ones_that_click_takes(path: Path) -> None:
    for command, *arguments in invocations(read(path)):
        with contextlib.suppress(click.exceptions.Exit):  # `--list` does its work at once
            found(command).make_context(command, arguments)


@pytest.mark.parametrize("path", [path for path in [DOCS / "index.md", *GUIDES] if shown(read(path))], ids=name)
def test_commands_print_what_is_shown(path: Path, tmp_path: Path) -> None:
    for file, rows in re.findall(r'^```json title="(\S+)"\n(.*?)^```$', read(path), re.M | re.S):
        (tmp_path / file).write_text(rows, encoding="utf-8")
    check_shown(read(path), tmp_path)


@pytest.mark.parametrize("path", [path for path in GUIDES if blocks(read(path), "python")], ids=name)
def test_python_blocks_run(path: Path) -> None:
    """Sessions, which are blocks of pycon, are doctests, as those of the README."""
    for block in blocks(read(path), "python"):
        exec(compile(block, name(path), "exec"), {"__name__": "guide"})


def test_the_guide_to_bundles_knows_the_format() -> None:
    text = read(DOCS / "guides" / "bundle.md")
    versions = re.findall(r"^\| (\d+) \| [\d.]+ \| ", text, re.M)
    assert versions == [str(number) for number in range(1, FORMAT + 1)]
    listed = {file for row in re.findall(r"^\| (`.*?`) \| ", text, re.M) for file in re.findall(r"`([^`]+)`", row)}
    assert set(LIMITS) <= listed


def invocations(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each `prefmodel` in the console blocks of a text, the sub-command first."""
    for block in blocks(text, "console"):
        lines = block.replace("\\\n", " ").splitlines()
        if any(line.startswith("$ ") for line in lines):
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        for line in lines:
            words = shlex.shlex(line, posix=True, punctuation_chars=True)
            words.whitespace_split = True
            part: list[str] = []
            for word in [*words, ";"]:
                if set(word) <= set("();<>|&"):
                    yield from [part[i + 1 :] for i in range(len(part)) if part[i] in ("prefmodel", "prefmodel.cli")]
                    part = []
                else:
                    part.append(word)


def found(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None, f"prefmodel {name}"
    return command
