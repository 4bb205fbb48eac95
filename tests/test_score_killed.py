"""Runs that are killed before their 1st, 2nd, … change of the file system, and then repeated."""

import json
import os
from pathlib import Path

import pytest

from prefmodel.batch.run import score_files
from prefmodel.model import PreferenceModel
from tests.command import GOOD, QUESTION
from tests.killed import NEVER, alone, killed_at

ROWS = 40


@pytest.mark.skipif(not hasattr(os, "fork"), reason="makes copies of a process to kill them")
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_kill_at_any_instant_leaves_the_output_whole_or_not_at_all(tiny_bundle, tmp_path, suffix):
    there, resumed = zip(*alone(kills, tiny_bundle, tmp_path, suffix), strict=True)
    assert list(there) == sorted(there)
    assert set(there) == {False, True}
    # When rows are in the journal none is scored again, until it goes: the last but the lock and the folder.
    first, last = resumed.index(ROWS - 1), len(resumed) - resumed[::-1].index(ROWS - 1)
    assert set(resumed[:first]) == {0}
    assert set(resumed[first:last]) == {ROWS - 1}
    assert all(there[last:])
    assert len(there) - last <= 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="makes copies of a process to kill them")
def test_an_output_that_is_removed_after_a_kill_is_made_again(tiny_bundle, tmp_path):
    assert any(there for there, _ in alone(kills, tiny_bundle, tmp_path, ".jsonl", "remove"))


def kills(bundle, folder, suffix, remove=""):
    """Print for each kill whether it left an output, and of how many rows the next run knew."""
    source, expected = Path(folder) / "in.jsonl", Path(folder) / f"whole{suffix}"
    rows = [{"question": QUESTION, "answer": f"{GOOD} {i}" if i != 7 else ""} for i in range(ROWS)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    model = PreferenceModel.from_pretrained(bundle, threads=1)  # which starts no thread until it scores

    def score(output):
        summary = score_files(model, source, output)
        output.with_name("resumed").write_text(str(summary.resumed))

    def contents(output):
        return output.read_bytes(), output.with_name(f"{output.name}.errors.jsonl").read_bytes()

    found, ended, instant = [], False, 0
    killed_at(NEVER, lambda: score(expected))
    while not ended:
        instant += 1
        output = Path(folder) / str(instant) / f"out{suffix}"
        output.parent.mkdir()
        ended = killed_at(instant, lambda output=output: score(output))
        there = output.exists()
        assert not there or contents(output) == contents(expected), instant
        if there and remove:
            output.unlink()
        assert killed_at(NEVER, lambda output=output: score(output)), instant
        assert contents(output) == contents(expected), instant
        assert not output.with_name(f"{output.name}.progress").exists(), instant
        found.append((there, int(output.with_name("resumed").read_text())))
    print(json.dumps(found))
