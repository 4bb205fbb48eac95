"""The longer answer, BM25, readability and likeness as scorers."""

from __future__ import annotations

import builtins
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmodel.baselines import Likeness, bm25, longer, readability
from prefmodel.errors import MissingExtraError
from prefmodel.sentence_encoder import SentenceEncoder
from prefmodel.types import Message
from tests.tiny_encoder import encoder_folder

TEXTS = st.lists(st.text("abc ?", max_size=20), min_size=1, max_size=8)


@given(answers=st.lists(st.text()))
def test_longer_counts_characters(answers):
    scores = longer(["Why?"] * len(answers), answers)
    assert scores.dtype == np.float32
    assert scores.tolist() == [len(answer) for answer in answers]


def test_bm25_by_hand():
    questions = ["sky colour"] * 3
    answers = ["sky blue", "sky colour blue light", "grass green"]
    k, b, mean = 1.5, 0.75, 8 / 3

    def weight(frequency: int) -> float:
        return math.log(1 + (3 - frequency + 0.5) / (frequency + 0.5))

    def term(length: int) -> float:
        return 1 / (1 + k * (1 - b + b * length / mean))

    expected = [weight(2) * term(2), (weight(2) + weight(1)) * term(4), 0.0]
    np.testing.assert_allclose(bm25(questions, answers), expected, rtol=1e-5)


def test_bm25_takes_its_word_weights_from_distinct_answers():
    once = bm25(["sky"] * 2, ["sky blue", "grass green"])
    often = bm25(["sky"] * 4, ["sky blue", "grass green", "sky blue", "sky blue"])
    np.testing.assert_array_equal(often, once[[0, 1, 0, 0]])


@given(answers=TEXTS, data=st.data())
def test_bm25_gives_each_pair_its_score_in_any_order(answers, data):
    questions = data.draw(st.lists(st.text("abc ?", max_size=9), min_size=len(answers), max_size=len(answers)))
    order = data.draw(st.permutations(range(len(answers))))
    scores = bm25(questions, answers)
    moved = bm25([questions[i] for i in order], [answers[i] for i in order])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(moved, scores[order], rtol=1e-6)


def test_stop_words_of_the_question_do_not_count():
    answers = ["it is the one", "blue sea", "grass"]
    assert bm25(["is it the blue"] * 3, answers).tolist() == bm25(["blue"] * 3, answers).tolist()


@pytest.mark.parametrize("answers", [["", "?"], ["the", "a b"]])
def test_bm25_of_answers_without_words_is_zero(answers):
    assert bm25(["sky colour", "the"], answers).tolist() == [0.0, 0.0]


def test_bm25_of_a_question_without_known_words_is_zero():
    assert bm25(["", "the", "zebra", "sky"], ["sky blue"] * 3 + ["blue sea"]).tolist() == [0.0] * 4


def test_a_dialogue_is_asked_with_all_its_turns():
    dialogue = (Message("user", "sky"), Message("assistant", "yes"), Message("user", "colour"))
    answers = ["sky blue colour", "grass green"]
    np.testing.assert_array_equal(bm25([dialogue] * 2, answers), bm25(["sky yes colour"] * 2, answers))


def test_the_missing_extra_is_named(monkeypatch):
    real = builtins.__import__

    def without_bm25s(name, *args, **kwargs):
        if name == "bm25s":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_bm25s)
    with pytest.raises(MissingExtraError, match=r"BM25 baseline needs the extra 'evaluate'.*prefmodel\[evaluate\]"):
        bm25(["Why?"], ["Because."])


def test_readability_by_hand():
    """4.71 characters a word + .5 words a sentence - 21.43, of "Air scatters blue light. It is so!": 25 in 7, and 2."""
    [score] = readability(["Why?"], ["Air scatters blue light. It is so!"])
    assert score == pytest.approx(-(4.71 * 26 / 7 + 0.5 * 7 / 2 - 21.43), abs=1e-4)


@given(answers=st.lists(st.text()))
def test_any_text_has_a_readability(answers):
    scores = readability(["Why?"] * len(answers), answers)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert scores.shape == (len(answers),)


def test_longer_sentences_and_longer_words_are_harder():
    short, sentences, words = readability(
        ["Why?"] * 3, ["It is so. We saw it.", "It is so and we saw it.", "Undoubtedly so. Everybody noticed it."]
    )
    assert short > sentences
    assert short > words
    assert readability(["Why?"], ["???"])[0] < words


def test_likeness_is_the_cosine_of_question_and_answer(tmp_path):
    encoder = SentenceEncoder(encoder_folder(tmp_path))
    asked = ["Why is the sky blue?", [Message("user", "sky")], "light"]
    answers = ["Air scatters light.", "sky", "Why is the sky blue?"]
    scores = Likeness(encoder)(asked, answers)
    assert scores.dtype == np.float32
    texts = encoder.encode([asked[0], "sky", asked[2]])
    np.testing.assert_allclose(scores, (texts * encoder.encode(answers)).sum(1), atol=1e-6)
    assert Likeness(encoder)(["sky"], ["sky"])[0] == pytest.approx(1)
