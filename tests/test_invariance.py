"""`prefmodel invariance`: shifts by hand, what is drawn, and what the command prints."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axioms.command import pairs as pairs_command
from prefmodel.baselines import longer
from prefmodel.errors import InputError
from prefmodel.files import write_pairs, write_threads
from prefmodel.invariance import invariance
from prefmodel.types import PreferencePair
from tests.command import fails
from tests.threads import ask


def pair(number, one, other, kind="names", target=0.5):
    return PreferencePair(
        f"Why {number}?", one, other, axiom="invariance", source="demo", target=target, provenance={"recipe": kind}
    )


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from(["gender", "names"])), min_size=2))
def test_a_shift_is_the_mean_distance_in_standard_deviations(lengths):
    rows = [pair(i, "a" * one, "b" * other, kind) for i, (one, other, kind) in enumerate(lengths)]
    scores = np.array([[one, other] for one, other, _ in lengths], float)
    if scores.std() == 0:
        with pytest.raises(InputError, match="have the spread 0"):
            invariance(longer, rows)
        return
    found = invariance(longer, rows)
    assert found.spread == pytest.approx(scores.std())
    for kind, shift in found.shifts.items():
        own = [row for row, (_, _, its) in zip(scores, lengths, strict=True) if its == kind]
        assert shift.value == pytest.approx(np.mean([abs(a - b) for a, b in own]) / scores.std())
        assert shift.count == len(own)
    assert sum(shift.count for shift in found.shifts.values()) == found.pairs == len(rows)


def test_pairs_with_a_better_side_are_left_out_and_counted():
    found = invariance(longer, [pair(0, "aa", "b"), pair(1, "aa", "b", target=1.0)])
    assert (found.pairs, found.ignored) == (1, 1)
    with pytest.raises(InputError, match="none of 1 pairs has a target of 1/2"):
        invariance(longer, [pair(1, "aa", "b", target=1.0)])


@pytest.fixture
def file(tmp_path):
    rows = [pair(i, f"Ask him {'so ' * i}.", f"Ask her {'so ' * i}.", "gender") for i in range(12)]
    rows += [pair(i, f"Light {'air ' * i}", f"- Light\n- {'air ' * i}", "formatting") for i in range(5)]
    write_pairs(tmp_path / "pairs.jsonl", rows)
    return tmp_path / "pairs.jsonl"


def test_the_table(run, file):
    result = run("invariance", file, "--count", 8)
    assert result.exit_code == 0, result.stderr
    heading, formatting, gender, empty, spread = result.stdout.splitlines()
    assert heading.split("  ")[0] == "change"
    assert (formatting.split()[:2], gender.split()[:2], empty) == (["formatting", "5"], ["gender", "8"], "")
    assert spread.startswith("standard deviation of the scores: ")
    assert "17 pairs, of which neither side is better in 17; 13 of these are drawn\n" in result.stderr
    assert "too long" not in result.stderr
    assert result.stdout == run("invariance", file, "--count", 8).stdout
    assert "| gender | 8 |" in run("invariance", file, "--count", 8, "--format", "markdown").stdout


def test_json_says_the_same(run, file):
    found = json.loads(run("invariance", file, "--format", "json").stdout)
    assert {kind: shift["count"] for kind, shift in found["shifts"].items()} == {"formatting": 5, "gender": 12}
    one = json.loads(run("invariance", file, "--format", "json", "--count", 1).stdout)
    assert one["shifts"]["gender"]["low"] is None  # of one question nothing is known


def test_what_is_not_read_whole_is_told(run, tmp_path):
    write_pairs(tmp_path / "long.jsonl", [pair(0, "light " * 99, "air"), pair(1, "sky", "blue")])
    assert "1 of 4 answers were too long to be read whole\n" in run("invariance", tmp_path / "long.jsonl").stderr


def test_nothing_to_measure(run, tmp_path):
    write_pairs(tmp_path / "pairs.jsonl", [pair(0, "a", "b", target=1.0)])
    fails(run("invariance", tmp_path / "pairs.jsonl"), "pairs.jsonl: none of 1 pairs has a target of 1/2; allowed: ")
    write_pairs(tmp_path / "empty.jsonl", [pair(0, "a", " ", target=0.5)])
    fails(run("invariance", tmp_path / "empty.jsonl"), "empty.jsonl, pair 1: rejected is ' '; allowed: non-empty text")
    fails(run("invariance", tmp_path / "no.jsonl"), "no.jsonl")


def test_it_measures_what_the_axiom_builds(run, tmp_path):
    from click.testing import CliRunner

    threads = [ask(i, f"How do I complain {i}?", f"Call the waiter and tell him what {i} is.") for i in range(6)]
    write_threads(tmp_path / "threads.jsonl", threads)
    out = tmp_path / "pairs.jsonl"
    built = CliRunner().invoke(
        pairs_command, [str(tmp_path / "threads.jsonl"), "--axioms", "invariance", "-o", str(out)]
    )
    assert built.exit_code == 0, built.output
    result = run("invariance", out, "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert "gender" in json.loads(result.stdout)["shifts"]
