import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmodel.encoding import EncodingConfig
from prefmodel.errors import InputError
from prefmodel.model import PreferenceModel
from prefmodel.staged import StagedRanker, calibrated_margin

QUESTION = "Why is the sky blue?"
ANSWERS = ["Air scatters light.", "No idea.", "The sea " * 20, "It is " * 30, "Light is scattered by air.", "Why not?"]


class Table:
    """A scorer with a score for each answer; it notes what it was asked."""

    def __init__(self, scores):
        self.scores = scores
        self.asked = []

    def score(self, question, answers):
        self.asked.append(answers)
        return np.array([self.scores[int(a)] for a in answers], np.float32)


# Quarters, which are exact in float32, and few, so that there are ties.
quarters = st.integers(-8, 8).map(lambda n: n / 4)
tables = st.lists(st.tuples(quarters, quarters), min_size=1, max_size=8).map(
    lambda rows: (Table([f for f, _ in rows]), Table([d for _, d in rows]), [str(i) for i in range(len(rows))])
)
margins = st.integers(0, 20).map(lambda n: n / 4)
tops = st.integers(1, 10)


def order(scores):
    return sorted(range(len(scores)), key=lambda i: -scores[i])


def disagreement(first, deep):
    """How far the difference of two first scores is from that of the deep ones, at most."""
    errors = np.array(first.scores) - np.array(deep.scores)
    return float(errors.max() - errors.min())


@given(tables, margins, tops)
def test_ranking(table, margin, top):
    first, deep, answers = table
    ranking = StagedRanker(first, deep, margin).rank(QUESTION, answers, top)
    assert sorted(r.index for r in ranking) == list(range(len(answers)))
    scored = [r.index for r in ranking if r.deep]
    others = [r.index for r in ranking if not r.deep]
    assert [r.index for r in ranking] == scored + others
    for r in ranking:
        assert r.answer == answers[r.index]
        assert r.score == (deep if r.deep else first).scores[r.index]
    assert scored == sorted(sorted(scored), key=lambda i: -deep.scores[i])
    assert others == sorted(sorted(others), key=lambda i: -first.scores[i])
    bar = sorted(first.scores, reverse=True)[min(top, len(answers)) - 1]
    near = [i for i, score in enumerate(first.scores) if score >= bar - margin]
    assert sorted(scored) == (near if len(near) > 1 else [])
    assert first.asked == [answers]
    assert deep.asked == ([[answers[i] for i in near]] if len(near) > 1 else [])


@given(tables, tops)
def test_a_margin_without_end_gives_the_deep_ranking(table, top):
    first, deep, answers = table
    ranking = StagedRanker(first, deep, math.inf).rank(QUESTION, answers, top)
    assert [r.index for r in ranking] == order(deep.scores)
    assert all(r.deep for r in ranking) or len(answers) == 1


@given(tables)
def test_no_margin_asks_the_deep_model_about_ties_only(table):
    first, deep, answers = table
    ranking = StagedRanker(first, deep, 0).rank(QUESTION, answers)
    best = [i for i, score in enumerate(first.scores) if score == max(first.scores)]
    assert ranking[0].index == max(best, key=lambda i: deep.scores[i])
    assert sum(r.deep for r in ranking) == (len(best) if len(best) > 1 else 0)


@given(tables, tops)
def test_a_margin_that_bounds_the_error_finds_the_best(table, top):
    first, deep, answers = table
    ranking = StagedRanker(first, deep, disagreement(first, deep)).rank(QUESTION, answers, top)
    assert [r.index for r in ranking][:top] == order(deep.scores)[:top]


@given(tables, margins, st.integers(8, 12))
def test_more_wanted_than_there_are(table, margin, top):
    first, deep, answers = table
    ranking = StagedRanker(first, deep, margin).rank(QUESTION, answers, top)
    assert [r.index for r in ranking] == order(deep.scores)


@given(st.lists(tables.filter(lambda table: len(table[2]) > 2), min_size=9, max_size=12), st.integers(1, 2))
def test_calibrated_margin_is_the_smallest_that_agrees(found, top):
    """With 9 to 12 questions and an agreement of .75, the best are found in 8, 9, 9 and 10 of them."""
    first, deep, questions = Table([]), Table([]), []
    for one, other, answers in found:
        questions.append((QUESTION, [str(len(first.scores) + int(a)) for a in answers]))
        first.scores += one.scores
        deep.scores += other.scores
    margin = calibrated_margin(first, deep, questions, top, agreement=0.75)

    def agreed(margin):
        """How many questions keep all of the deep model's best among the answers that it scores."""
        kept = 0
        for _, answers in questions:
            scores = Table(first.scores).score(QUESTION, answers).tolist()
            best = order(Table(deep.scores).score(QUESTION, answers).tolist())[:top]
            kept += min(scores[i] for i in best) >= sorted(scores, reverse=True)[top - 1] - margin
        return kept

    wanted = math.ceil((len(found) + 1) * 0.75)
    assert agreed(margin) >= wanted
    assert margin == 0 or agreed(margin - 0.25) < wanted
    ranker = StagedRanker(first, deep, margin)
    same = [
        [int(r.answer) for r in ranker.rank(QUESTION, answers, top)][:top]
        == sorted(map(int, answers), key=lambda i: -deep.scores[i])[:top]
        for _, answers in questions
    ]
    assert sum(same) >= wanted


def test_real_models(model):
    short = PreferenceModel(replace(model.bundle, encoding=EncodingConfig(max_tokens=20, question_tokens=6)), threads=1)
    deep, first = model.rank(QUESTION, ANSWERS), short.rank(QUESTION, ANSWERS)
    assert [r.index for r in deep] != [r.index for r in first]
    whole = StagedRanker(short, model, math.inf).rank(QUESTION, ANSWERS)
    assert [(r.index, r.answer) for r in whole] == [(r.index, r.answer) for r in deep]
    assert [r.score for r in whole] == pytest.approx([r.score for r in deep], abs=1e-5)
    none = StagedRanker(short, model, 0.0).rank(QUESTION, ANSWERS)
    assert [r.index for r in none] == [r.index for r in first]
    assert not any(r.deep for r in none)
    margin = calibrated_margin(short, model, [(QUESTION, ANSWERS)], agreement=0.5)
    ranking = StagedRanker(short, model, margin).rank(QUESTION, np.array(ANSWERS))
    assert ranking[0].index == deep[0].index
    dialogue = [{"role": "user", "content": QUESTION}]
    assert len(StagedRanker(short, model, 1.0).rank(dialogue, tuple(ANSWERS), top=2)) == len(ANSWERS)
    assert StagedRanker(short, model, 1.0).rank(QUESTION, []) == []


def raises(message):
    return pytest.raises(InputError, match=message)


@pytest.mark.parametrize("margin", [-0.1, math.nan, True, "1", None])
def test_bad_margin(margin):
    with raises("margin is .*; allowed: a number of 0 or more"):
        StagedRanker(Table([]), Table([]), margin)


@pytest.mark.parametrize("top", [0, -1, True, 1.0, None])
def test_bad_top(top):
    with raises("top is .*; allowed: 1 or more"):
        StagedRanker(Table([1]), Table([1]), 1).rank(QUESTION, ["0"], top)
    with raises("top is .*; allowed: 1 or more"):
        calibrated_margin(Table([1]), Table([1]), [(QUESTION, ["0"])], top)


def test_bad_texts(model):
    ranker = StagedRanker(model, model, 1.0)
    with raises("question is ''; allowed: non-empty text"):
        ranker.rank("", ANSWERS)
    with raises("answers is 'No.'; allowed: a sequence of texts"):
        ranker.rank(QUESTION, "No.")
    with raises(r"answers\[1\] is ' '; allowed: non-empty text"):
        ranker.rank(QUESTION, ["No.", " "])
    with raises(r"answers of questions\[0\]\[1\] is None; allowed: non-empty text"):
        calibrated_margin(model, model, [(QUESTION, ["No.", None])])


@pytest.mark.parametrize("scores", [[1.0, math.nan], [1.0, math.inf], [1.0], [[1.0], [2.0]], 1.0])
def test_bad_scores(scores):
    class Bad:
        def score(self, question, answers):
            return scores

    good = Table([0.0, 0.0])
    with raises("first gives the scores .*; allowed: 2 finite numbers"):
        StagedRanker(Bad(), good, 1.0).rank(QUESTION, ["0", "1"])
    with raises("model gives the scores .*; allowed: 2 finite numbers"):
        StagedRanker(good, Bad(), 1.0).rank(QUESTION, ["0", "1"])


def test_bad_calibration(model):
    for agreement in (0, 1, -1, math.nan, "1", True):
        with raises("agreement is .*; allowed: above 0 and below 1"):
            calibrated_margin(model, model, [(QUESTION, ANSWERS)], agreement=agreement)
    with raises("there are 3 questions; allowed: 9 or more for an agreement of 0.9"):
        calibrated_margin(model, model, [(QUESTION, ANSWERS)] * 3, agreement=0.9)
    with raises("questions is 5; allowed: pairs of a question and its answers"):
        calibrated_margin(model, model, 5)
    for wrong in ("abc", "ab", (QUESTION,), None):
        with raises(r"questions\[0\] is .*; allowed: a question and its answers"):
            calibrated_margin(model, model, [wrong])
    with raises("there are 0 questions"):
        calibrated_margin(model, model, [])
    with raises(r"questions\[0\] has 2 answers; allowed: 3 or more, to find the best 2"):
        calibrated_margin(model, model, [(QUESTION, ANSWERS[:2])], top=2)
