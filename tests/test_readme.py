"""The README: its commands print what it shows, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```$", README, re.M | re.S)
NUMBER = re.compile(r"-?\d+\.\d+")
TOLERANCE = 0.06
"""Logits by which a score may differ between CPUs: int8 kernels round differently."""


def shown() -> list[tuple[str, str]]:
    """Return (command, output) of the console blocks that show an output."""
    found: list[tuple[str, str]] = []
    for block in BLOCKS:
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def test_two_set_up_commands() -> None:
    assert [line for line in README.split("## What it is")[0].splitlines() if line.startswith("pip ")] == [
        line for block in BLOCKS[:2] for line in block.splitlines()
    ]
    assert 'pip install -c constraints.txt -e ".[dev]" && pytest' in README


def test_some_commands_are_shown() -> None:
    assert len(shown()) >= 4


@contextmanager
def serving() -> Iterator[str]:
    """Serve the default model; give host and port."""
    command = [sys.executable, "-m", "prefmodel.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            where = re.search(r"http://(\S+)", process.stderr.readline())
            assert where is not None
            wait_for(f"http://{where[1]}/ready", process)
            yield where[1]
        finally:
            process.terminate()
            process.communicate(timeout=60)


def wait_for(url: str, process: subprocess.Popen[str]) -> None:
    while True:
        assert process.poll() is None
        try:
            urlopen(url)
        except OSError:
            time.sleep(0.1)
        else:
            return


def test_commands_print_what_is_shown(tmp_path: Path) -> None:
    with serving() as where:
        for command, output in shown():
            check(command.replace("localhost:8000", where), output, tmp_path)


def check(command: str, output: str, folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f'PATH="{Path(sys.executable).parent}:$PATH"; {command}'],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert NUMBER.sub("#", done.stdout.rstrip("\n")) == NUMBER.sub("#", output.rstrip("\n")), command
    for got, want in zip(NUMBER.findall(done.stdout), NUMBER.findall(output), strict=True):
        assert float(got) == pytest.approx(float(want), abs=TOLERANCE), command


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []
