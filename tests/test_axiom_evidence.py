"""Axioms that rewrite answers sentence by sentence: groundedness and relevant grounding."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from axioms import groundedness, relevant_grounding
from axioms.groundedness import GroundednessConfig
from axioms.relevant_grounding import RelevantGroundingConfig, extract
from axioms.text import holds, matched_lengths, passage_sentences, sentences
from prefmodel.types import Answer
from tests.threads import ask, library

seeds = st.integers(0, 999)
few = settings(max_examples=20, deadline=None)


def evidence(threads):
    """Return (sentences of the passages of each thread, those of all other threads), by id."""
    own = {t.id: set(passage_sentences(t.passages)) for t in threads}
    return own, {key: set().union(*(own[k] for k in own if k != key)) - own[key] for key in own}


# Groundedness


def grounded(threads, seed=0, **settings):
    return list(groundedness.build(threads, Random(seed), GroundednessConfig(**{"nearest": 1.0, **settings})))


def twins(pairs):
    """Return the pairs two by two, as they are built."""
    return list(zip(pairs[::2], pairs[1::2], strict=True))


def difference(pair):
    """Return (sentences that only the chosen side has, those that only the rejected one has)."""
    good, bad = sentences(pair.chosen), sentences(pair.rejected)
    return [s for s in good if s not in bad], [s for s in bad if s not in good]


@few
@given(seeds, st.integers(1, 3), st.integers(1, 2))
def test_what_is_woven_in_comes_from_own_and_from_other_passages(seed, woven, uses):
    threads = library(24)
    own, foreign = evidence(threads)
    answers = {t.id: sentences(t.answers[0].text) for t in threads}
    found = [p for p in grounded(threads, seed, woven=woven, uses=uses) if p.provenance["recipe"] == "woven"]
    assert found
    for pair in found:
        supported, strange = difference(pair)
        assert 1 <= len(supported) == len(strange) == pair.provenance["sentences"] <= woven
        assert set(supported) <= own[pair.thread_id]
        assert set(strange) <= foreign[pair.thread_id]
        for side in (sentences(pair.chosen), sentences(pair.rejected)):
            assert [s for s in side if s not in supported + strange] == answers[pair.thread_id]
            assert side[0] == answers[pair.thread_id][0]
            assert len(side) == len(set(side))  # nothing is said twice
        lengths = [sum(map(len, part)) for part in (supported, strange)]
        assert max(lengths) <= 1.34 * min(lengths)


@few
@given(seeds)
def test_twins_change_the_sides_of_what_is_woven_in_or_replaced(seed):
    found = [p for p in grounded(library(10), seed) if p.provenance["recipe"] != "transplanted"]
    assert len(found) >= 8
    for one, other in twins(found):
        assert one.thread_id != other.thread_id
        assert [sorted(part) for part in difference(one)] == [sorted(part) for part in difference(other)[::-1]]
        # A bag of words adds up to nothing, and so does length.
        assert len(one.chosen) - len(one.rejected) == len(other.rejected) - len(other.chosen)


@few
@given(seeds)
def test_a_supported_sentence_gives_way_to_one_of_another_answer(seed):
    said = ["It was built by monks of {0}.", "The {0} hall has {0} doors of oak.", "Every {0} door is red."]
    threads = [
        ask(
            i,
            f"Who built the {name} house beside {name}gate?",
            " ".join(said).format(name),
            passages=(f"{' '.join(said)}".format(name),),
        )
        for i, name in enumerate(("Ash", "Birch", "Cedar", "Elm"))
    ]
    answers = {t.id: sentences(t.answers[0].text) for t in threads}
    found = grounded(threads, seed)
    assert {pair.thread_id for pair in found} == answers.keys()
    for pair in found:
        assert pair.provenance["recipe"] == "replaced"  # the passages say no more, so that nothing can be woven in
        assert sentences(pair.chosen) == answers[pair.thread_id]
        [gone], [strange] = difference(pair)
        assert gone != answers[pair.thread_id][0]
        assert any(strange in other for key, other in answers.items() if key != pair.thread_id)
    bare = [
        ask(i, t.question, t.answers[0], passages=("Nothing that helps is in here.",)) for i, t in enumerate(threads)
    ]
    assert not [p for p in grounded(bare, seed) if p.provenance["recipe"] == "replaced"]


@few
@given(seeds)
def test_two_questions_on_one_passage_are_not_put_together(seed):
    threads = library(2)
    for passage in (threads[0].passages[0], threads[0].passages[0].upper().replace(".", " .")):
        alike = [threads[0], replace(threads[1], passages=(passage,))]
        for build in (grounded, relevantly):
            assert build(threads, seed)
            assert build(alike, seed) == []


@few
@given(seeds)
def test_what_both_threads_know_is_not_exchanged(seed):
    known = "Visitors may taste all of it, each Sunday in May."
    told = (known, known.upper(), known.replace(",", ""))
    threads = [
        replace(t, passages=(f"{t.passages[0]} {told[i % 3]}",), answers=(Answer(f"{t.answers[0].text} {known}"),))
        for i, t in enumerate(library(12))
    ]
    for pair in (*grounded(threads, seed), *relevantly(threads, seed)):
        _, strange = difference(pair)
        assert strange
        assert not holds(strange, known)


def test_a_name_is_transplanted_into_what_is_said_of_another():
    threads = [
        ask(0, "What is made in Belgium every year?", "Beer.", passages=("Most ale is sold in Belgium by monks.",)),
        ask(
            1,
            "What is made in New Zealand every year?",
            "Wool.",
            passages=("Sheep are kept in New Zealand on all hills.",),
        ),
    ]
    found = {p.thread_id: p for p in grounded(threads)}
    assert {p.provenance["recipe"] for p in found.values()} == {"transplanted"}
    assert found["demo/0"].chosen == "Beer. Most ale is sold in Belgium by monks."
    assert found["demo/0"].rejected == "Beer. Sheep are kept in Belgium on all hills."
    assert found["demo/1"].chosen == "Wool. Sheep are kept in New Zealand on all hills."
    assert found["demo/1"].rejected == "Wool. Most ale is sold in New Zealand by monks."


def test_an_article_fits_the_name_that_is_transplanted():
    threads = [
        ask(0, "What makes Belgium rich?", "Beer.", passages=("Ale is what a Belgium of old had to sell.",)),
        ask(1, "What makes Austria rich?", "Wool.", passages=("Snow is what an Austria of old had to sell.",)),
    ]
    found = {p.thread_id: p.rejected for p in grounded(threads)}
    assert found["demo/0"] == "Beer. Snow is what a Belgium of old had to sell."
    assert found["demo/1"] == "Wool. Ale is what an Austria of old had to sell."


def test_a_note_without_a_verb_is_not_woven_in():
    one, other = library(2)
    note = replace(other, passages=("Prospective, cohort study over one full year.", *other.passages))
    for seed in range(20):
        assert not any("cohort" in p.chosen + p.rejected for p in grounded([one, note], seed))


def test_threads_without_evidence_or_answer_give_no_grounded_pairs():
    first, *others = library(5)
    bare = [ask(9, first.question, "No passages. None at all."), ask(8, first.question, passages=first.passages)]
    assert {pair.thread_id for pair in grounded([*bare, *others])} == {t.id for t in others}
    assert grounded([first]) == []  # no other thread, no foreign sentence


# Relevant grounding


def relevantly(threads, seed=0, **settings):
    return list(relevant_grounding.build(threads, Random(seed), RelevantGroundingConfig(**settings)))


@few
@given(seeds, st.integers(1, 3))
def test_extracts_come_from_own_and_from_other_passages(seed, count):
    threads = library(8)
    own, foreign = evidence(threads)
    found = [p for p in relevantly(threads, seed, sentences=count) if p.provenance["recipe"] == "extract"]
    assert {p.thread_id for p in found} == {t.id for t in threads}
    for pair in found:
        good, bad = sentences(pair.chosen), sentences(pair.rejected)
        assert len(good) == len(bad) == count
        assert set(good) <= own[pair.thread_id]
        assert set(bad) <= foreign[pair.thread_id]
        assert 0 <= pair.provenance["rank"] <= 4
        assert 0 < pair.provenance["similarity"] < 1
    sources = {t.id: set(passage_sentences(t.passages)) for t in threads}
    for one, other in twins(found):
        assert set(sentences(one.rejected)) <= sources[other.thread_id]
        assert set(sentences(other.rejected)) <= sources[one.thread_id]


def drawn_from(number, name, *more):
    """Return a thread whose answer is drawn from its passage."""
    said = f"The bridge of {name} was built by {name} masons."
    return ask(number, f"Who built the {name} bridge?", said, *more, passages=(f"{said} It has {name} stones on it.",))


@few
@given(seeds)
def test_an_answer_that_is_drawn_from_its_passages_stands_on_both_sides(seed):
    threads = [drawn_from(i, name) for i, name in enumerate(("Ash", "Birch", "Cedar", "Elm"))]
    found = [p for p in relevantly(threads, seed) if p.provenance["recipe"] == "answer"]
    answers = {t.id: t.answers[0].text for t in threads}
    assert len(found) == 8
    for one, other in twins(found):
        assert one.chosen == answers[one.thread_id] == other.rejected
        assert one.rejected != one.chosen
        pools = {t.id: set(passage_sentences(t.passages)) for t in threads}
        assert set(sentences(one.rejected)) | set(sentences(other.chosen)) <= pools[other.thread_id]
        assert matched_lengths(one.chosen, one.rejected, 0.4)
    free = [ask(i, t.question, "Nobody knows anything about this.", passages=t.passages) for i, t in enumerate(threads)]
    assert {p.provenance["recipe"] for p in relevantly(free, seed)} == {"extract"}


def test_an_extract_keeps_the_closest_sentences_in_their_order():
    pool = ["Tea is hot.", "Monks brew beer.", "Beer is brewed by monks in Belgium.", "Wine is red."]
    assert extract("Which monks brew beer?", pool, 2) == pool[1:3]
    assert extract("Which monks brew beer?", pool[::-1], 2) == pool[2:0:-1]
    assert extract("Why?", pool, 9) == pool
    assert extract("Why?", [], 3) == []


def test_extracts_need_passages_but_no_answers():
    threads = [ask(t.id, t.question, passages=t.passages) for t in library(4)]
    bare = ask(9, threads[0].question, "Why not?")
    assert {p.thread_id for p in relevantly([bare, *threads])} == {t.id for t in threads}
    assert relevantly([bare, threads[0]]) == []
