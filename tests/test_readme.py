"""The README: its commands print what it shows, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

from tests.console import blocks, check_shown, shown

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_two_set_up_commands() -> None:
    assert [line for line in README.split("## What it is")[0].splitlines() if line.startswith("pip ")] == [
        line for block in blocks(README, "console")[:2] for line in block.splitlines()
    ]
    assert 'pip install -c constraints.txt -e ".[dev]" && pytest' in README


def test_some_commands_are_shown() -> None:
    assert len(shown(README)) >= 4


def test_commands_print_what_is_shown(tmp_path: Path) -> None:
    check_shown(README, tmp_path)


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []
