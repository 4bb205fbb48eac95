"""Sentences, and threads with similar questions: the tools that several axioms share."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axioms.neighbours import neighbours
from axioms.text import content_words, matched_lengths, overlap, passage_sentences, sentences, similar_length, weave
from prefmodel.splits import words
from tests.threads import any_threads, ask, library


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n ", []),
        ("One", ["One"]),
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Take vitamin C. Mr. Lee, e.g. Dr. No, did.", ["Take vitamin C. Mr. Lee, e.g. Dr. No, did."]),
        ("It is 3.5 m. not more", ["It is 3.5 m. not more"]),
        ("His win no. 251 came. See pp. 5 f.", ["His win no. 251 came.", "See pp. 5 f."]),
        ("They said no. Two left.", ["They said no.", "Two left."]),
        ("One\n\nTwo\nstill two", ["One", "Two\nstill two"]),
        ("You need:\n- salt\n- oil\n1) Fry", ["You need:", "- salt", "- oil", "1) Fry"]),
    ],
)
def test_sentences(text, expected):
    assert sentences(text) == expected


@given(st.text() | st.text("aB.?!1)-\n \"'"))
def test_no_word_is_lost_between_sentences(text):
    found = sentences(text)
    assert [w for s in found for w in words(s)] == words(text)
    assert all(s == s.strip() != "" for s in found)


def test_passages_give_whole_sentences_once():
    passages = [
        "Beer\nIt is brewed by monks there. Too short. It is brewed\nby monks there.",
        "It is brewed  by monks there.",
    ]
    assert passage_sentences(passages) == ["It is brewed by monks there."]
    assert passage_sentences(["So " + "very " * 58 + "long."]) != []
    assert passage_sentences(["So " + "very " * 59 + "long."]) == []


@given(st.text() | st.text("aÉ_1-. '\x1c\n"))
def test_words_are_runs_of_letters_and_digits(text):
    assert words(text) == re.findall(r"\w+", text.lower())
    assert content_words(text) <= {word for word in words(text) if len(word) > 1}


def test_words_that_carry_meaning():
    assert content_words("The sky: is it a Blue sky?") == {"sky", "blue"}
    assert overlap({"a", "b"}, {"b", "c", "d"}) == 0.5
    assert overlap(set(), {"a"}) == 0


@pytest.mark.parametrize(
    ("extra", "places", "text"),
    [
        (["X."], [1], "A. X. B. C"),
        (["X."], [3], "A B. C. X."),
        (["X.", "Y."], [1, 2], "A. X. B. Y. C"),
        ([""], [1], "A. B. C"),
        ([""], [3], "A B. C."),
        ([], [], "A B. C"),
    ],
)
def test_weaving(extra, places, text):
    assert weave(["A", "B.", "C"], extra, places) == text


@given(st.lists(st.text("x", min_size=1, max_size=40)), st.integers(1, 40), st.integers(0, 9))
def test_a_sentence_of_similar_length(pool, length, seed):
    like = "y" * length
    found = similar_length(pool, like, Random(seed))
    fits = [s for s in pool if 0.75 * length <= len(s) <= 1.25 * length]
    assert found in fits if fits else found is None


def test_matched_lengths():
    assert matched_lengths("x" * 75, "x" * 100)
    assert matched_lengths("x" * 100, "x" * 75)
    assert not matched_lengths("x" * 74, "x" * 100)
    assert matched_lengths("", "")


@settings(max_examples=40, deadline=None)
@given(threads=any_threads, depth=st.integers(1, 8))
def test_neighbours_are_of_the_source_similar_and_in_order(threads, depth):
    found = list(neighbours(threads, depth))
    assert len(found) == len(threads)
    for thread, hits in zip(threads, found, strict=True):
        assert len(hits) <= depth + 1
        assert [hit.rank for hit in hits] == list(range(len(hits)))
        assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)
        own = content_words(thread.question)
        for hit in hits:
            other = content_words(threads[hit.index].question)
            assert threads[hit.index].source == thread.source
            assert own & other
            assert len(own & other) < 0.6 * len(own | other)


def test_a_thread_is_no_neighbour_of_its_own():
    threads = [ask(i, "How do I store coffee beans?") for i in range(2)]
    assert [[hit.index for hit in hits] for hits in neighbours(threads, same=1.1)] == [[1], [0]]
    assert list(neighbours(threads)) == [[], []]


def test_neighbours_do_not_depend_on_other_sources():
    threads = library(6)
    others = [ask(i, thread.question, source="other") for i, thread in enumerate(library(9))]
    alone = list(neighbours(threads))
    assert all(alone)
    assert list(neighbours([*threads, *others]))[:6] == alone
    assert [[hit.index - 9 for hit in hits] for hits in list(neighbours([*others, *threads]))[9:]] == [
        [hit.index for hit in hits] for hits in alone
    ]


def test_many_threads_are_looked_up_in_parts():
    threads = [ask(i, f"Which tea{i // 2} suits cake{i} and house{i}?") for i in range(1100)]
    found = [[hit.index for hit in hits[:1]] for hits in neighbours(threads, depth=2)]
    assert found == [[i ^ 1] for i in range(1100)]


@pytest.mark.parametrize(
    "broken",
    [
        "To determine the duration of a pregnancy after treatment.",
        "The Apportionment Act of 1911 (, ) was a bill.",
        "She married a girl . , he is the last person of it.",
        "He was born here (April 10, 1935April 13, 1961) in May.",
        "Robyn Fenty[2] was born here on that day in May.",
        "They say that Rihanna (/riˈænə/) was born here in May.",
        "It was known as the `` death strip '' for many years.",
    ],
)
def test_a_passage_s_sentence_that_has_lost_a_part_is_left_out(broken):
    whole = "To win, he ran the whole way, e.g., from the sea to the hill."
    assert passage_sentences([f"{broken} {whole}"]) == [whole]
