"""Axioms that rewrite answers sentence by sentence: groundedness, relevant grounding, thoroughness."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axioms import groundedness, relevant_grounding, thoroughness
from axioms.groundedness import GroundednessConfig
from axioms.relevant_grounding import RelevantGroundingConfig, extract
from axioms.text import matched_lengths, passage_sentences, sentences
from axioms.thoroughness import FILLER, ThoroughnessConfig
from prefmodel.types import Answer
from tests.threads import ask, facts, library

seeds = st.integers(0, 999)
few = settings(max_examples=20, deadline=None)


def evidence(threads):
    """Return (sentences of the passages of each thread, those of all other threads), by id."""
    own = {t.id: set(passage_sentences(t.passages)) for t in threads}
    return own, {key: set().union(*(own[k] for k in own if k != key)) - own[key] for key in own}


# Groundedness


@few
@given(seeds, st.integers(1, 3))
def test_foreign_sentences_are_woven_into_the_answer(seed, woven):
    threads = library(8)
    _, foreign = evidence(threads)
    answers = {t.id: t.answers[0].text for t in threads}
    found = list(groundedness.build(threads, Random(seed), GroundednessConfig(woven=woven, balanced=0)))
    assert len(found) == len(threads)
    for pair in found:
        assert pair.chosen == answers[pair.thread_id]
        said, wrong = sentences(pair.chosen), sentences(pair.rejected)
        strange = [s for s in wrong if s not in said]
        assert strange
        assert set(strange) <= foreign[pair.thread_id]
        assert [s for s in wrong if s in said] == said
        assert wrong[0] == said[0]
        assert len(strange) == pair.provenance["woven"] <= woven
        assert pair.provenance["recipe"] == "woven"


@few
@given(seeds)
def test_balanced_pairs_have_sentences_woven_into_both_sides(seed):
    threads = library(8)
    own, foreign = evidence(threads)
    found = list(groundedness.build(threads, Random(seed), GroundednessConfig(balanced=1)))
    recipes = [pair.provenance["recipe"] for pair in found]
    assert recipes.count("balanced") >= 5
    for pair in found:
        if pair.provenance["recipe"] == "balanced":
            good, bad = sentences(pair.chosen), sentences(pair.rejected)
            assert len(good) == len(bad)
            changed = [(a, b) for a, b in zip(good, bad, strict=True) if a != b]
            assert len(changed) == pair.provenance["woven"]
            for a, b in changed:
                assert a in own[pair.thread_id]
                assert b in foreign[pair.thread_id]
            supported, strange = (sum(map(len, side)) for side in zip(*changed, strict=True))
            assert abs(supported - strange) <= 0.25 * supported


def test_what_the_answer_says_already_is_not_woven_in_again():
    threads = library(8)
    found = list(groundedness.build(threads, Random(1), GroundednessConfig(balanced=1, woven=3)))
    for pair in found:
        said = sentences(pair.chosen)
        assert len(said) == len(set(said))


def test_threads_without_evidence_or_answer_give_no_grounded_pairs():
    first, *others = library(4)
    bare = [ask(9, first.question, "No passages. None at all."), ask(8, first.question, passages=first.passages)]
    found = list(groundedness.build([*bare, *others], Random(0)))
    assert [pair.thread_id for pair in found] == [t.id for t in others]
    assert list(groundedness.build([first], Random(0))) == []  # no other thread, no foreign sentence


# Relevant grounding


@few
@given(seeds, st.integers(1, 3))
def test_extracts_come_from_own_and_from_other_passages(seed, count):
    threads = library(8)
    own, foreign = evidence(threads)
    config = RelevantGroundingConfig(sentences=count)
    found = list(relevant_grounding.build(threads, Random(seed), config))
    assert len(found) == len(threads)
    for pair in found:
        good, bad = sentences(pair.chosen), sentences(pair.rejected)
        assert len(good) == len(bad) == pair.provenance["sentences"] == count
        assert set(good) <= own[pair.thread_id]
        assert set(bad) <= foreign[pair.thread_id]
        assert pair.provenance["rank"] >= 0
        assert 0 < pair.provenance["similarity"] < 1


def test_an_extract_keeps_the_closest_sentences_in_their_order():
    pool = ["Tea is hot.", "Monks brew beer.", "Beer is brewed by monks in Belgium.", "Wine is red."]
    assert extract("Which monks brew beer?", pool, 2) == pool[1:3]
    assert extract("Which monks brew beer?", pool[::-1], 2) == pool[2:0:-1]
    assert extract("Why?", pool, 9) == pool
    assert extract("Why?", [], 3) == []


def test_extracts_need_passages_but_no_answers():
    threads = [ask(t.id, t.question, passages=t.passages) for t in library(3)]
    bare = ask(9, threads[0].question, "Why not?")
    assert len(list(relevant_grounding.build([bare, *threads], Random(0)))) == 3
    assert list(relevant_grounding.build([bare, threads[0]], Random(0))) == []


# Thoroughness


def test_the_key_sentences_give_way_to_filler():
    common = "It is what it is. We like coffee and coffee is good. Coffee is what we like."
    rare = "Anaerobic fermentation of Ethiopian cherries raises the lactate."
    threads = [
        ask(0, "How?", "We like it. " + rare + " Coffee is good. It is what we like."),
        *(ask(i, "Why?", common) for i in range(1, 5)),
    ]
    for seed in range(5):
        config = ThoroughnessConfig(removed=0.25, repeat=0)
        pair = next(p for p in thoroughness.build(threads, Random(seed), config) if p.thread_id == "demo/0")
        assert rare in pair.chosen
        assert rare not in pair.rejected
        kept, filler = [], []
        for sentence in sentences(pair.rejected):
            (filler if sentence in FILLER else kept).append(sentence)
        assert kept == ["We like it.", "Coffee is good.", "It is what we like."]
        assert filler
        assert pair.provenance == {"recipe": "filler", "removed": 1, "sentences": 4}


@few
@given(seeds, st.sampled_from([0.0, 1.0]))
def test_the_first_sentence_stays_and_the_length_too(seed, repeat):
    threads = library(10)
    found = list(thoroughness.build(threads, Random(seed), ThoroughnessConfig(repeat=repeat)))
    assert len(found) >= 5
    for pair in found:
        good, bad = sentences(pair.chosen), sentences(pair.rejected)
        assert good == facts(int(pair.thread_id.split("/")[1]))[:4]
        assert bad[0] == good[0]
        assert matched_lengths(pair.chosen, pair.rejected)
        gone = [s for s in good if s not in bad]
        assert len(gone) == pair.provenance["removed"] == 2
        assert pair.provenance["recipe"] == ("repeated" if repeat else "filler")
        assert {s for s in bad if s not in good} <= (set() if repeat else set(FILLER))


def test_of_equally_rare_sentences_the_earlier_goes_whatever_order_a_set_has():
    """Weights are sums over sets; those of equal addends have to be equal."""
    threads = []
    for number in range(20):
        one, two = ([f"{side}{number}x{i}" for i in range(8)] for side in "ab")
        parts = ["Look here.", f"The {' '.join(one)}.", f"The {' '.join(two)}."]
        threads.append(ask(number, "How?", " ".join(parts)))
        threads += [ask(1000 + 10 * number + i, "Why?", " ".join(one[i:] + two[i:])) for i in range(1, 8)]
    found = list(thoroughness.build(threads, Random(0), ThoroughnessConfig(removed=0.1)))
    assert len(found) > 10
    for pair in found:
        _, first, second = sentences(pair.chosen)
        assert first not in pair.rejected
        assert second in pair.rejected


@pytest.mark.parametrize(
    "answer",
    [
        "One. Two.",
        "No end",
        "",
        "First of all.\n\n```\ncode. More code. And more.\n```\n\nLast of all.",
        "A tiny one. So. Is. It.",
    ],
)
def test_what_is_short_or_holds_code_has_no_thorough_pair(answer):
    threads = [ask(0, "How?", answer), ask(1, "Why?"), ask(2, "Who?", Answer("Some other words."))]
    assert list(thoroughness.build(threads, Random(0), ThoroughnessConfig(repeat=0))) == []
