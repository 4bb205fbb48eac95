"""Running the command line, and what a success and an error look like."""

import subprocess
import sys

QUESTION, GOOD, BAD = "Why is the sky blue?", "Because air scatters blue light.", "No idea."
LONG = "air " * 100
COMMAND = [sys.executable, "-m", "prefmodel.cli"]


def succeeds(result) -> str:
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def fails(result, *messages: str, warned: bool = False) -> None:
    """Check that an error is one line on stderr, behind warnings only if `warned`, without a word on stdout."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    *warnings, error = result.stderr.splitlines()
    assert error.startswith("error: ")
    assert bool(warnings) == warned
    assert all(line.startswith("warning: ") for line in warnings)
    for message in messages:
        assert message in result.stderr


def process(*arguments, **options) -> subprocess.CompletedProcess:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)
