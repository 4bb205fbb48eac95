"""The pairs that come with the package: what makes them fit for probing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from prefmodel.baselines import bm25, longer
from prefmodel.evaluation import evaluate_pairs
from prefmodel.files import read_pairs
from prefmodel.overlap import QuestionIndex
from prefmodel.probe.measure import packaged_pairs
from prefmodel.splits import question_text, words

EVAL = Path(__file__).parents[2] / "shared" / "data" / "eval"
PAIRS = packaged_pairs()


def shared_words(question, answer):
    return len(set(words(question_text(question))) & set(words(answer)))


def test_answers_have_text_and_differ():
    assert 60 <= len(PAIRS) <= 120
    for pair in PAIRS:
        assert question_text(pair.question).strip()
        assert pair.chosen.strip()
        assert pair.rejected.strip()
        assert pair.chosen != pair.rejected
        assert pair.target == 1


def test_no_question_and_no_answer_repeats():
    index = QuestionIndex([])
    for pair in PAIRS:
        assert index.match(pair.question) is None
        index = QuestionIndex(p.question for p in PAIRS[: PAIRS.index(pair) + 1])
    answers = [answer for pair in PAIRS for answer in (pair.chosen, pair.rejected)]
    assert len(set(answers)) == len(answers)


def test_neither_length_nor_words_of_the_question_tell_which_is_better():
    result = evaluate_pairs(PAIRS, {"longer": longer, "bm25": bm25})
    assert 0.4 <= result.accuracy["longer"].value <= 0.6
    assert 0.4 <= result.accuracy["bm25"].value <= 0.6
    counts = [(shared_words(p.question, p.chosen), shared_words(p.question, p.rejected)) for p in PAIRS]
    more = sum((a > b) + 0.5 * (a == b) for a, b in counts) / len(counts)
    assert 0.4 <= more <= 0.6


def test_kinds_vary():
    topics = Counter(pair.provenance["topic"] for pair in PAIRS)
    flaws = Counter(pair.provenance["flaw"] for pair in PAIRS)
    assert len(topics) >= 12
    assert set(flaws) == {"vague", "wrong", "off topic", "incomplete"}
    assert min(flaws.values()) >= 8
    assert sum(not isinstance(pair.question, str) for pair in PAIRS) >= 4
    lengths = sorted(len(pair.chosen) for pair in PAIRS)
    assert lengths[len(lengths) // 10] < 60
    assert lengths[-1] > 200


@pytest.mark.skipif(not EVAL.is_dir(), reason="needs ../shared/data, which users do not have")
def test_no_evaluation_set_asks_them():
    index = QuestionIndex(pair.question for path in sorted(EVAL.glob("*.jsonl.gz")) for pair in read_pairs(path))
    assert len(index) > 1000
    assert [pair.question for pair in PAIRS if index.match(pair.question)] == []
