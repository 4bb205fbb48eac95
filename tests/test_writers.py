"""Who wrote the answers: the groups, the scales and the ranking that an evaluation shows."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from prefmodel.cli import main
from prefmodel.evaluation import evaluate_pairs, pool
from prefmodel.files import write_pairs
from prefmodel.report import as_text
from prefmodel.types import PreferencePair
from prefmodel.writers import scales, writer_ranking, writers_of


def pair(question: str, chosen: str, rejected: str, by: tuple[str | None, str | None]) -> PreferencePair:
    row = {"question": question, "chosen": chosen, "rejected": rejected}
    named = {side: name for side, name in zip(("chosen_by", "rejected_by"), by, strict=True) if name}
    return PreferencePair.from_dict({**row, **named})


def by_length(questions, answers):
    return np.array([len(answer) for answer in answers], np.float32)


def test_groups_say_between_whom_a_pair_is():
    pairs = [
        pair("One?", "a long answer", "short", ("human", "bot")),
        pair("Two?", "short", "a long answer", ("bot", "human")),
        pair("Three?", "a long answer", "short", ("bot", "other")),
        pair("Four?", "a long answer", "short", (None, None)),
    ]
    found = evaluate_pairs(pairs, {"longer": by_length})
    shares = {name: (groups["longer"].value, groups["longer"].count) for name, groups in found.by_writer.items()}
    assert shares == {"human and model": (0.5, 2), "both model": (1.0, 1), "both not said": (1.0, 1)}


def test_scales_count_an_answer_once_and_tell_people_from_models():
    pairs = [
        pair("One?", "abcd", "ab", ("human", "bot")),
        pair("One?", "abcd", "a", ("human", "other")),  # the same answer of the human once more
    ]
    found = evaluate_pairs(pairs, {"longer": by_length}).scales
    assert (found["human"].answers, found["human"].mean) == (1, 4.0)
    assert (found["model"].answers, found["model"].mean, found["model"].deviation) == (2, 1.5, 0.5)


def test_files_that_name_no_writer_have_a_scale_but_no_groups_and_no_ranking():
    found = evaluate_pairs([pair("One?", "abcd", "ab", (None, None))], {"longer": by_length})
    assert list(found.scales) == ["not said"]
    assert found.by_writer == {}
    assert found.ranking is None


def test_the_report_shows_scales_and_ranking():
    pairs = [pair(f"{i}?", "abc", "a", by) for i in range(3) for by in (("x", "y"), ("y", "z"), ("x", "z"))]
    result = evaluate_pairs(pairs, {"longer": by_length})
    text = as_text({"demo": result}, pool([result]))
    assert "3 writers ranked, Spearman's correlation with the labels: longer answer 1.000 [1.000, 1.000]" in text
    assert "demo, by who wrote the two answers" not in text  # all are models: one group says nothing new
    assert "model       2.00  1.00" in text


def test_the_command_writes_them_as_numbers(tmp_path, tiny_bundle):
    pairs = [pair(f"Why {i}?", "Because of the wind.", "No.", ("human", "bot")) for i in range(2)]
    pairs += [pair(f"Why {i}?", "Because of the rain.", "No!", ("bot", "third")) for i in range(2)]
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    command = ["evaluate", tmp_path / "pairs.jsonl", "--report", tmp_path, "--model", tiny_bundle, "--threads", 1]
    done = CliRunner().invoke(main, [str(part) for part in command])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "results.json").read_text())["files"]["pairs"]
    assert set(found["scales"]) == {"human", "model"}
    assert set(found["ranking"]["writers"]) == {"human", "bot", "third"}
    assert set(found["by_writer"]) == {"human and model", "both model"}


NAMES = st.sampled_from("abcd")


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=30), st.integers(0, 9))
def test_the_labels_own_ranking_agrees_with_itself(sides, seed):
    pairs = [pair(f"{i % 5}?", "x", "y", side) for i, side in enumerate(sides)]
    clusters = np.arange(len(pairs)) % 5
    found = writer_ranking(pairs, {"labels": np.ones(len(pairs))}, clusters, seed)
    known = {name for one, other in sides if one != other for name in (one, other)}
    assert (found is None) == (len(known) < 3)
    if found:
        assert set(found.writers) == known
        value = found.agreement["labels"].value
        assert np.isnan(value) or value == pytest.approx(1.0)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=20))
def test_a_scale_holds_its_scores(values):
    found = scales(np.array(values), ["human"] * len(values))["human"]
    assert min(values) <= found.low <= found.high <= max(values)
    assert min(values) - 1e-9 <= found.mean <= max(values) + 1e-9


def test_writers_that_are_no_pair_are_not_said():
    row = {"question": "Why?", "chosen": "x", "rejected": "y", "models": ["a"]}
    assert writers_of(PreferencePair.from_dict(row)) == (None, None)
