"""Judged: answers whose scores are far apart, with win rates."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axioms import human, judged
from axioms.judged import JudgedConfig, beats, win_rates
from prefmodel.errors import InputError
from prefmodel.types import PreferencePair


def row(chosen, rejected, *scores, question="Why?", **others):
    fields = {"question": question, "chosen": chosen, "rejected": rejected, "source": "demo", "scores": list(scores)}
    return PreferencePair.from_dict({**fields, **others})


def built(*rows, **config):
    return list(judged.build(rows, Random(0), JudgedConfig(**config)))


def test_scores_that_are_far_apart_make_a_pair():
    (pair,) = built(row("good", "bad", 5, 4))
    assert (pair.chosen, pair.rejected, pair.target, pair.axiom, pair.principle) == ("good", "bad", 1.0, "judged", None)
    assert pair.provenance == {"recipe": "scores", "scores": [5, 4], "win_rates": [1, 0]}
    assert built(row("good", "bad", 4.9, 1)) == []  # not high
    assert built(row("good", "bad", 6, 5.5)) == []  # too close
    assert len(built(row("good", "bad", 4, 3.5), high=4, gap=0.5)) == 1


def test_the_scores_say_which_answer_is_better():
    (pair,) = built(row("bad", "good", 2, 6))
    assert (pair.chosen, pair.rejected) == ("good", "bad")


def test_pairs_without_scores_are_left_out():
    assert built(PreferencePair("Why?", "x", "y", axiom="human", source="demo")) == []


def test_an_answer_that_is_scored_more_often_wins_with_a_share():
    (pair,) = built(row("good", "bad", 6, 5), row("good", "bad", 6, 3), row("good", "bad", 4.5, 2))
    assert pair.target == pytest.approx((3 + 3 + 2) / 9)
    assert pair.provenance["scores"] == [5.5, 3.3333]


def test_answers_of_one_question_are_ranked_by_win_rate():
    rows = [row("best", "fair", 6, 5), row("fair", "poor", 5, 3), row("best", "worst", 6, 1)]
    found = [(pair.chosen, pair.rejected) for pair in built(*rows, pairs_per_question=9)]
    assert found[0] == ("best", "worst")
    assert set(found) == {("best", "worst"), ("best", "poor"), ("best", "fair"), ("fair", "poor"), ("fair", "worst")}
    assert len(built(*rows, pairs_per_question=2)) == 2
    apart = [row("best", "fair", 6, 5), row("fair", "poor", 5, 3, question="Who?")]
    assert len(built(*apart)) == 2


@given(st.dictionaries(st.text(max_size=3), st.lists(st.integers(1, 6), min_size=1, max_size=4), min_size=1))
def test_win_rates_are_shares_whose_mean_is_a_half(scores):
    rates = win_rates(scores)
    assert rates.keys() == scores.keys()
    assert all(0 <= rate <= 1 for rate in rates.values())
    assert math.fsum(rates.values()) / len(rates) == pytest.approx(0.5)


@given(*[st.lists(st.floats(0, 6), min_size=1, max_size=4)] * 2)
def test_one_wins_what_the_other_loses(scores, others):
    assert beats(scores, others) + beats(others, scores) == pytest.approx(1)


texts = st.sampled_from(["a", "b", "c", "d"])
score = st.floats(0, 6)


@given(st.lists(st.tuples(texts, texts, score, score, st.sampled_from(["Who?", "Why?"])), max_size=12))
def test_every_pair_is_high_and_far_apart(rows):
    found = built(*(row(a, b, x, y, question=q) for a, b, x, y, q in rows))
    for pair in found:
        high, low = pair.provenance["scores"]
        assert high >= 5 - 1e-4
        assert high - low >= 1 - 2e-4
        assert pair.chosen != pair.rejected
        assert 0 <= pair.target <= 1


@pytest.mark.parametrize(
    "scores", [5, "56", [5], [5, 4, 3], [5, None], [5, "4"], [5, math.nan], [5, 10**400], [True, 2], None, []]
)
def test_scores_that_are_none(scores):
    pair = PreferencePair("Why?", "x", "y", axiom="human", source="demo", provenance={"scores": scores})
    with pytest.raises(
        InputError, match=r"scores is .*; allowed: two numbers, of the chosen and of the rejected answer"
    ):
        built(pair)


def test_a_judges_scores_are_no_human_label():
    label = PreferencePair("Why?", "x", "y", axiom="human", source="demo")
    assert [pair.chosen for pair in human.build([row("good", "bad", 5, 4), label], Random(0))] == ["x"]
