"""Robustness: the answer is still there, the odds grow with the tricks, and no phrase is one of the probes."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axioms import dressing
from axioms.dressing import TRICKS
from axioms.robustness import RobustnessConfig, build
from prefmodel.probe import manipulations
from prefmodel.splits import words
from tests.threads import ask, library, texts

each_trick = pytest.mark.parametrize("name", TRICKS)
ANSWER = "Air scatters blue light. It does so more than red."


@each_trick
@settings(max_examples=40, deadline=None)
@given(question=texts, answer=texts, seed=st.integers(0, 99))
def test_a_trick_keeps_the_answer_and_adds_to_it(name, question, answer, seed):
    dressed = TRICKS[name](question, answer, Random(seed))
    assert answer in dressed
    assert len(dressed.split()) > len(answer.split()) or not answer.split()
    assert dressed == TRICKS[name](question, answer, Random(seed))


@each_trick
@pytest.mark.parametrize("question", ["", " \n"])
def test_a_question_without_words_is_no_way_out(name, question):
    made = [TRICKS[name](question, ANSWER, Random(seed)) for seed in range(60)]
    assert all(len(text.split()) > len(ANSWER.split()) for text in made)


@each_trick
def test_a_trick_has_many_forms(name):
    assert len({TRICKS[name]("Why is the big sky blue?", ANSWER, Random(seed)) for seed in range(50)}) >= 6


@each_trick
def test_no_template_is_left_unfilled(name):
    made = [TRICKS[name]("Why is the sky blue?", ANSWER, Random(seed)) for seed in range(300)]
    assert not [text for text in made if re.search(r"[{}|]", text.replace("<|", "").replace("|>", ""))]


def test_no_phrase_is_one_of_the_probes():
    lists = (manipulations.FLATTERY, manipulations.PADDING, manipulations.CLAIMS, manipulations.CITATIONS)
    probes = [" ".join(words(phrase)) for phrases in (*lists, manipulations.ORDERS) for phrase in phrases]
    tricks = (dressing.praise, dressing.filler, dressing.claims, dressing.orders, dressing.sources)
    made = [" ".join(words(trick("Why?", "", Random(seed)))) for trick in tricks for seed in range(500)]
    assert not [(probe, text) for probe in probes for text in made if probe in text]


@given(tricks=st.integers(1, 9), seed=st.integers(0, 99))
def test_the_odds_grow_with_the_tricks(tricks, seed):
    [pair] = build([library(1)[0]], Random(seed), RobustnessConfig(tricks=(tricks,)))
    assert pair.target / (1 - pair.target) == pytest.approx(1 + 2 * tricks, rel=0.01)
    assert pair.chosen in {answer.text for answer in library(1)[0].answers}
    assert pair.provenance["recipe"] == f"{tricks} tricks" or (tricks == 1 and pair.provenance["recipe"] in TRICKS)


def test_an_answer_is_neither_a_word_nor_an_essay():
    threads = [ask(1, "Why?", "Yes."), ask(2, "Why?", "So it is. " * 51), ask(3, "Why?", "So it is.")]
    [pair] = build(threads, Random(0), RobustnessConfig(least_words=3))
    assert pair.thread_id == "demo/3"


def test_of_a_post_its_first_sentence_is_copied():
    thread = ask(1, "Why is it so? I have waited for years and nobody has told me.", "Because of the weather there.")
    made = [next(build([thread], Random(seed), RobustnessConfig(tricks=(9,)))).rejected for seed in range(20)]
    assert all("Why is it so?" in text and "nobody has told me" not in text for text in made)
