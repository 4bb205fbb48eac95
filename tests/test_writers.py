"""Who wrote the answers: the groups, the scales and the ranking that an evaluation shows."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from prefmodel.cli import main
from prefmodel.errors import InputError
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
    assert shares == {"human and model": (0.5, 2), "model alone": (1.0, 1), "not said alone": (1.0, 1)}


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
    pairs = [pair(f"{i}?", "abc", "a", by) for i in range(5) for by in (("x", "y"), ("y", "z"), ("x", "z"))]
    result = evaluate_pairs(pairs, {"longer": by_length})
    text = as_text({"demo": result}, pool([result]))
    assert "3 writers ranked, Spearman's correlation with the labels: longer answer 1.000 [1.000, 1.000]" in text
    assert "demo, by who wrote the two answers" not in text  # all are models: one group says nothing new
    assert [line.split() for line in text.splitlines() if line.startswith("y ")] == [["y", "10", ".500", ".500"]]
    assert "model  2.00  1.00" in text


def test_the_command_writes_them_as_numbers(tmp_path, tiny_bundle):
    pairs = [pair(f"Why {i}?", "Because of the wind.", "No.", ("human", "bot")) for i in range(6)]
    pairs += [pair(f"Why {i}?", "Because of the rain.", "No!", ("bot", "third")) for i in range(6)]
    pairs += [pair(f"Why {i}?", "Because of the sun.", "Oh!", ("human", "third")) for i in range(6)]
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    command = ["evaluate", tmp_path / "pairs.jsonl", "--report", tmp_path, "--model", tiny_bundle, "--threads", 1]
    done = CliRunner().invoke(main, [str(part) for part in command])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "results.json").read_text())["files"]["pairs"]
    assert set(found["scales"]) == {"human", "model"}
    assert found["ranking"]["pairs"] == {"human": 12, "bot": 12, "third": 12}
    assert found["ranking"]["shares"]["the labels"] == {"human": 1.0, "bot": 0.5, "third": 0.0}
    assert set(found["by_writer"]) == {"human and model", "model alone"}
    assert found["prefers_human"]["the labels"]["value"] == 1.0


NAMES = st.sampled_from("abcd")


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=80), st.integers(0, 9))
def test_the_labels_own_ranking_agrees_with_itself(sides, seed):
    pairs = [pair(f"{i % 5}?", "x", "y", side) for i, side in enumerate(sides)]
    found = writer_ranking(pairs, {"labels' twin": np.ones(len(pairs))}, np.arange(len(pairs)) % 5, seed)
    if found:
        assert len(found.pairs) >= 3
        assert min(found.pairs.values()) >= 10
        assert found.shares["the labels"] == found.shares["labels' twin"]
        assert all(agreed.value == pytest.approx(1.0) for agreed in found.agreement.values())


def test_writers_of_few_pairs_are_not_ranked():
    sides = [("a", "b"), ("b", "c"), ("a", "c")] * 5 + [("d", "a")]
    pairs = [pair(f"{i}?", "x", "y", side) for i, side in enumerate(sides)]
    found = writer_ranking(pairs, {"labels' twin": np.ones(16)}, np.arange(16))
    assert found is not None
    assert found.shares["the labels"] == {"a": 1.0, "b": 0.5, "c": 0.0}  # as if d had won nothing


def test_pairs_that_were_made_from_a_ranking_do_not_confirm_it():
    sides = [("a", "b"), ("b", "c"), ("a", "c")] * 5
    pairs = [replace(pair(f"{i}?", "x", "y", side), axiom="strength") for i, side in enumerate(sides)]
    assert writer_ranking(pairs, {"any": np.ones(15)}, np.arange(15)) is None


def test_a_scorer_that_ranks_all_alike_has_no_correlation():
    sides = [("a", "b"), ("b", "c"), ("a", "c")] * 5
    pairs = [pair(f"{i}?", "x", "y", side) for i, side in enumerate(sides)]
    found = writer_ranking(pairs, {"blind": np.full(15, 0.5)}, np.arange(15))
    assert found is not None
    assert found.agreement == {}


def test_how_often_people_are_preferred_to_models():
    sides = [("human", "bot"), ("bot", "human"), ("bot", "other"), (None, "human")]
    pairs = [pair(f"{i}?", "long", "x", side) for i, side in enumerate(sides)]
    found = evaluate_pairs(pairs, {"longer": by_length}).prefers_human
    assert (found["the labels"].value, found["the labels"].count) == (0.5, 2)
    assert found["longer"].value == 0.5
    assert evaluate_pairs(pairs[2:], {"longer": by_length}).prefers_human == {}


def test_an_answer_of_two_writers_is_a_persons_in_any_order():
    pairs = [pair("One?", "same", "x", ("bot", "bot")), pair("One?", "same", "y", ("human", "bot"))]
    for order in (pairs, pairs[::-1]):
        found = evaluate_pairs(order, {"longer": by_length}).scales
        assert {kind: scale.answers for kind, scale in found.items()} == {"human": 1, "model": 2}


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=20))
def test_a_scale_holds_its_scores(values):
    found = scales(np.array(values), ["human"] * len(values))["human"]
    assert min(values) <= found.low <= found.high <= max(values)
    assert min(values) - 1e-9 <= found.mean <= max(values) + 1e-9


@pytest.mark.parametrize(
    ("told", "writers"),
    [
        ({"models": ["a"]}, (None, None)),
        ({"models": "ab"}, (None, None)),
        ({"models": ["a", "b"]}, ("a", "b")),
        ({"models": "ab", "chosen_by": "x"}, ("x", None)),
        ({"chosen_by": " HUMAN ", "rejected_by": "  "}, ("human", None)),
        ({"chosen_by": "", "rejected_by": "x"}, (None, "x")),
    ],
)
def test_what_a_pair_says_of_its_writers(told, writers):
    row = {"question": "Why?", "chosen": "x", "rejected": "y"}
    assert writers_of(PreferencePair.from_dict({**row, **told})) == writers


@pytest.mark.parametrize("value", [7, 0, False, True, [], ["a", "b"], {"n": 1}])
def test_a_writer_that_is_no_text_is_an_error(value):
    row = {"question": "Why?", "chosen": "x", "rejected": "y", "chosen_by": value}
    with pytest.raises(InputError, match=r"chosen_by is .*; allowed: the name of a model, human, or none"):
        evaluate_pairs([PreferencePair.from_dict(row)], {"never asked": lambda *_: pytest.fail("scored first")})
