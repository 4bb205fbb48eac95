"""Blocks of code in a Markdown text: the commands that it shows, and whether they print what it says."""

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

NUMBER = re.compile(r"-?\d+\.\d+")
TOLERANCE = 0.06
"""Logits by which a score may differ between CPUs: int8 kernels round differently."""


def blocks(text: str, language: str) -> list[str]:
    """Return the blocks of code of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def shown(text: str) -> list[tuple[str, str]]:
    """Return (command, output) of the console blocks that show an output."""
    found: list[tuple[str, str]] = []
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def check_shown(text: str, folder: Path) -> None:
    """Check that the commands of a text print what it shows, in a folder, with a server where they ask one."""
    found = shown(text)
    if any("localhost:8000" in command for command, _ in found):
        with serving() as where:
            for command, output in found:
                check(command.replace("localhost:8000", where), output, folder)
    else:
        for command, output in found:
            check(command, output, folder)


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


def check(command: str, output: str, folder: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", f'PATH="{Path(sys.executable).parent}:$PATH"; {command}'],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert NUMBER.sub("#", done.stdout.rstrip("\n")) == NUMBER.sub("#", output.rstrip("\n")), command
    for got, want in zip(NUMBER.findall(done.stdout), NUMBER.findall(output), strict=True):
        assert float(got) == pytest.approx(float(want), abs=TOLERANCE), command
