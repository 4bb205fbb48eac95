"""The endurance benchmark in small: kills, a full disk and a cut input change no byte of the output."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "endurance.py"
SMALL = ["--rows", "2500", "--other-rows", "2500", "--kills", "2", "--growth", "1000"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_the_benchmark_in_small(tmp_path):
    command = [sys.executable, str(SCRIPT), *SMALL, "--folder", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines() if "|" in line]
    assert [(line[0], line[3]) for line in lines[2:]] == [(step, "yes") for step in ("memory", "kills", "disk", "gzip")]
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_step():
    result = subprocess.run(
        [sys.executable, str(SCRIPT), "--steps", "kill"], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 2
    assert "--steps has kill; allowed: memory, kills, default, disk, gzip" in result.stderr
