"""Builds of pairs that are killed before their 1st, 2nd, … change of the file system, and then repeated."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

import axioms.run  # before a process is copied, and not in every copy  # noqa: F401
from prefmodel.cli import main
from prefmodel.files import write_threads
from tests.killed import NEVER, alone, killed_at
from tests.threads import library


@pytest.mark.skipif(not hasattr(os, "fork"), reason="makes copies of a process to kill them")
def test_a_kill_at_any_instant_leaves_the_output_whole_or_not_at_all(tmp_path):
    there = alone(kills, tmp_path)
    assert there == sorted(there)
    assert set(there) == {False, True}


def kills(folder):
    """Print for each kill whether it left an output; the next run has to end as one that nobody killed."""
    source, expected = Path(folder) / "in.jsonl", Path(folder) / "whole.jsonl"
    write_threads(source, library(6))

    def build(output):
        arguments = ["pairs", str(source), "-o", str(output), "--axioms", "usefulness,relevance", "--block", "3"]
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output

    found, ended, instant = [], False, 0
    assert killed_at(NEVER, lambda: build(expected))
    while not ended:
        instant += 1
        output = Path(folder) / str(instant) / "out.jsonl"
        output.parent.mkdir()
        ended = killed_at(instant, lambda output=output: build(output))
        found.append(output.exists())
        assert not found[-1] or output.read_bytes() == expected.read_bytes(), instant
        assert killed_at(NEVER, lambda output=output: build(output)), instant
        assert output.read_bytes() == expected.read_bytes(), instant
        assert list(output.parent.iterdir()) == [output], instant
    print(json.dumps(found))
