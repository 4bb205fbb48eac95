"""Relevance: which threads are put together, and that only the question tells which of their answers is better."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axioms import relevance
from axioms.neighbours import Neighbour, closest, couples
from axioms.relevance import RelevanceConfig, best_answer, rarity, says_its_topic
from prefmodel.types import Answer, Thread
from tests.threads import any_threads, ask, library

few = settings(max_examples=20, deadline=None)


def built(threads, seed=0, **settings):
    """Build with settings for short answers and few, very similar questions."""
    config = RelevanceConfig(**{"nearest": 2.0, "least_words": 1, "generic": 0.0, "rest": -1.0} | settings)
    return list(relevance.build(threads, Random(seed), config))


def sides(pairs):
    return {(p.chosen, p.rejected) for p in pairs}


@few
@given(st.integers(0, 99), st.integers(1, 3))
def test_a_negative_is_the_best_answer_to_a_similar_question_of_the_source(seed, uses):
    threads = [*library(12), *(Thread(f"o{t.id}", "other", t.question, t.answers) for t in library(6))]
    by_id = {thread.id: thread for thread in threads}
    found = list(relevance.build(threads, Random(seed), RelevanceConfig(depth=5, uses=uses, alike_answers=1.1)))
    assert {pair.thread_id for pair in found} == set(by_id)
    for pair in found:
        thread, other = by_id[pair.thread_id], by_id[pair.provenance["negative_of"]]
        assert other is not thread
        assert other.source == thread.source
        assert (pair.chosen, pair.rejected) == (best_answer(thread).text, best_answer(other).text)
        assert pair.provenance["recipe"] == "similar"
        assert pair.provenance["found_by"] == "bm25"
        assert 0 <= pair.provenance["rank"] < 6
        assert 0 < pair.provenance["similarity"] < 0.5
    negatives = [(pair.thread_id, pair.provenance["negative_of"]) for pair in found]
    assert len(set(negatives)) == len(negatives)


@few
@given(any_threads | st.integers(2, 14).map(library), st.integers(0, 9), st.floats(0, 1), st.integers(1, 3))
def test_every_pair_has_a_twin_with_its_sides_changed(threads, seed, generic, uses):
    found = built(threads, seed, generic=generic, rest=1.0, uses=uses)
    assert Counter((p.chosen, p.rejected) for p in found) == Counter((p.rejected, p.chosen) for p in found)
    assert Counter(p.chosen for p in found) == Counter(p.rejected for p in found)  # so no word and no length tells
    assert all(p.chosen != p.rejected for p in found)


def test_a_negative_is_not_too_near_and_both_answers_say_something():
    threads = [
        ask(0, "How do I store roasted coffee beans?", "In a dark tin."),
        ask(1, "How do I grind roasted coffee beans?", "With a burr grinder."),
        ask(2, "Who sells coffee near me?", "The shop in Main Street."),
        ask(3, "Is coffee healthy?", "Yes."),
    ]
    wide = {"uses": 5, "same": 0.7}
    assert any(p.provenance["similarity"] >= 0.5 for p in built(threads, **wide))
    assert any("Yes." in pair for pair in sides(built(threads, **wide)))
    found = built(threads, **wide, nearest=0.5, least_words=4)
    assert found
    assert all(p.provenance["similarity"] < 0.5 for p in found)
    assert all(len(text.split()) >= 4 for p in found for text in (p.chosen, p.rejected))


def test_a_near_duplicate_question_gives_no_negative():
    threads = [
        ask(0, "How do I store roasted coffee beans?", "In a tin."),
        ask(1, "How should I store roasted coffee beans", "In a jar."),
        ask(2, "Which coffee beans are the best?", "Arabica."),
    ]
    other = {("In a tin.", "Arabica."), ("In a jar.", "Arabica.")}
    assert sides(built(threads, uses=5)) == other | {pair[::-1] for pair in other}
    assert ("In a tin.", "In a jar.") in sides(built(threads, uses=5, same=1.1))


def test_answers_that_say_the_same_are_no_pair():
    threads = [
        ask(0, "Who wrote the play about a doctor and a devil?", "Goethe wrote Faust."),
        ask(1, "Which poet of Weimar wrote of a devil?", "Faust by Goethe."),
        ask(2, "Who sold a devil in Weimar?", "A shop near the theatre."),
    ]
    assert {frozenset(pair) for pair in sides(built(threads, uses=5))} == {
        frozenset(("Goethe wrote Faust.", "A shop near the theatre.")),
        frozenset(("Faust by Goethe.", "A shop near the theatre.")),
    }
    assert len(built(threads, uses=5, alike_answers=1.1)) == 6


def test_a_question_that_does_not_say_its_topic_gives_no_pair():
    threads = [
        ask(0, "Summarise the passage about beer", "Beer is old."),
        ask(1, "Summarise the passage", "Monks make cheese."),
        ask(2, "Summarise a passage about wine", "Wine is red."),
    ]
    assert {frozenset(pair) for pair in sides(built(threads, uses=5))} == {frozenset(("Beer is old.", "Wine is red."))}
    assert not says_its_topic("List the names mentioned in this paragraph")


def test_a_closer_question_has_a_lower_rank_and_a_greater_similarity():
    threads = [
        ask(0, "How is Norwegian cider brewed in old barrels?", "By patience."),
        ask(1, "How are old barrels made?", "From oak."),
        ask(2, "Who sells Norwegian cider brewed in summer?", "Nobody does."),
    ]
    found = {p.rejected: p.provenance for p in built(threads, uses=2) if p.chosen == "By patience."}
    assert set(found) == {"From oak.", "Nobody does."}
    assert found["Nobody does."]["similarity"] > found["From oak."]["similarity"]


def test_the_same_topic_with_another_ask():
    threads = [
        ask(0, "Who was the teacher of Socrates?", "Socrates learned from Anaxagoras."),
        ask(1, "When did Socrates die?", "Socrates died in 399 BC."),
        ask(2, "When did Plato die?", "Plato died in 348 BC."),
        *(ask(i, f"Where do I buy tea number {i}?", f"In shop {i} of the town.") for i in range(3, 9)),
    ]
    found = [p for p in built(threads, rest=0.1) if p.provenance["recipe"] == "ask"]
    about = [p for p in found if p.provenance["topic"] == "socrates"]
    assert sides(about) == {(a.answers[0].text, b.answers[0].text) for a, b in (threads[:2], threads[1::-1])}
    # Nothing but the topic may be shared, and an answer has to speak of it.
    assert not [p for p in built([threads[0], threads[1]], rest=-1.0) if p.provenance["recipe"] == "ask"]
    silent = [threads[0], ask(1, "When did Socrates die?", "In 399 BC."), *threads[2:]]
    assert not [p for p in built(silent, rest=0.1) if p.provenance.get("topic") == "socrates"]


def test_a_generic_answer_has_the_most_common_words():
    threads = [
        ask(i, f"Which brewer sells drink{i} in summer?", f"Brewer{i} of house{i} sells drink{i}.") for i in range(9)
    ]
    threads.append(ask(9, "Which brewer sells wine in summer?", "The brewer sells some."))
    threads.append(ask(10, "Which brewer sells tea in summer?", "The brewer sells another."))
    generic = {"The brewer sells some.", "The brewer sells another."}
    found = [
        p for p in built(threads, same=1.1, generic=0.19, alike_answers=1.1) if p.provenance["recipe"] == "generic"
    ]
    assert len(found) == 4
    assert all(len({p.chosen, p.rejected} & generic) == 1 for p in found)
    assert {p.chosen for p in found} > generic
    assert {p.rejected for p in found} > generic


def test_couples_take_each_thread_and_those_least_used():
    found = [[Neighbour(j, 0, 0.5) for j in range(6) if j != i] for i in range(6)]
    for seed in range(20):
        taken = list(couples(found, Random(seed)))
        assert sorted(i for one, other, _ in taken for i in (one, other)) == list(range(6))
    assert len(list(couples(found, Random(0), uses=9))) == 15  # each two once
    assert list(couples([[], []], Random(0))) == []


@settings(deadline=None)
@given(st.integers(0, 999), st.integers(2, 12), st.integers(1, 3))
def test_the_most_similar_couples_come_first(seed, size, uses):
    random = Random(seed)
    found = [[Neighbour(j, 0, random.choice([0.1, 0.2, 0.3])) for j in range(size) if j != i] for i in range(size)]
    taken = list(closest(found, uses))
    similarities = [hit.similarity for _, _, hit in taken]
    assert similarities == sorted(similarities, reverse=True)
    assert all(hit in found[one] and hit.index == other for one, other, hit in taken)
    counts = Counter(i for one, other, _ in taken for i in (one, other))
    assert all(min(uses, size - 1) <= counts[i] <= 2 * uses for i in range(size))
    assert len({frozenset(couple[:2]) for couple in taken}) == len(taken)


def test_the_best_answer_is_the_accepted_one_then_the_one_with_most_votes_then_the_first():
    plain, liked, accepted = Answer("plain"), Answer("liked", votes=9), Answer("accepted", votes=1, accepted=True)
    assert best_answer(ask(0, "Why?", plain, liked, accepted)) is accepted
    assert best_answer(ask(0, "Why?", plain, liked)) is liked
    assert best_answer(ask(0, "Why?", plain, Answer("other"))) is plain


def test_rarity():
    assert rarity([{"a", "b"}, {"a"}, {"a"}, {"a"}]) == pytest.approx({"a": 0.0, "b": 1.3863}, abs=1e-4)
