"""Thoroughness: an end to the point against the end of another answer, with all else equal on both sides."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axioms import thoroughness
from axioms.chunks import chunks, joined
from axioms.thoroughness import ThoroughnessConfig
from prefmodel.baselines import bm25
from prefmodel.types import Answer
from tests.threads import any_threads, ask, library, long_texts

NOUNS = ("beans", "leaves", "grapes", "apples", "grains", "cherries")
SMALL = {"least": 20, "topical": 1, "share": (0.1, 9.0), "nearest": 1.0, "same": 0.9}


def fruit(number, recipe="cut", **changed):
    """Return a thread whose answer, or whose second answer, goes on in a sentence that bears on the question."""
    noun = NOUNS[number % 6] + str(number // 6)
    parts = {
        "question": f"Where do farmers store{number} their {noun} best, please?",
        "beginning": f"Many people keep {noun} in a cellar{number} all year.",
        "end": f"Dry cellar{number} air lets nothing rot{number}, says grandma.",
    } | changed
    if recipe == "cut":
        return ask(number, parts["question"], f"{parts['beginning']} {parts['end']}")
    return ask(number, parts["question"], Answer(parts["beginning"], votes=9), Answer(parts["end"], votes=2))


def built(threads, seed=0, **config):
    return list(thoroughness.build(threads, Random(seed), ThoroughnessConfig(**{**SMALL, **config})))


def ends(pairs):
    """Return the ends of the chosen and of the rejected sides."""
    sides = [p.chosen for p in pairs], [p.rejected for p in pairs]
    return ([text.rpartition("\n\n")[2] for text in side] for side in sides)


@pytest.mark.parametrize("recipe", ["cut", "merged"])
@settings(deadline=None)
@given(st.integers(0, 99), st.integers(2, 20))
def test_the_chosen_side_goes_on_with_its_own_end_and_the_rejected_one_with_another(recipe, seed, size):
    found = built([fruit(i, recipe) for i in range(size)], seed)
    assert {pair.provenance["recipe"] for pair in found} == {recipe}
    for pair in found:
        number = int(pair.thread_id.split("/")[1])
        beginning, _, end = pair.chosen.partition("\n\n")
        other, _, strange = pair.rejected.partition("\n\n")
        assert beginning == other
        assert [f"cellar{number} " in text for text in (beginning, end, strange)] == [True, True, False]


@settings(deadline=None)
@given(st.integers(0, 99), st.integers(2, 20))
def test_every_end_and_every_length_is_as_often_chosen_as_rejected(seed, size):
    threads = [fruit(i, end=f"Dry cellar{i} air lets nothing rot{i}{'!' * (i % 4)}") for i in range(size)]
    found = built(threads, seed, slack=0.2)
    chosen, rejected = ends(found)
    assert Counter(chosen) == Counter(rejected)
    assert sum(len(p.chosen) - len(p.rejected) for p in found) == 0


def test_the_words_of_the_question_do_not_tell_which_end_is_to_the_point():
    """Before, the key sentences were those with the most words of the question."""
    asks = [fruit(i, end=f"Farmers store{i} nothing that rots in a cellar{i}.") for i in range(6)]
    assert built(asks) == []  # each end names one word of its own question, and no other end does
    alike = built([fruit(i, end=f"Farmers say good cellar{i} air is dry{i}.") for i in range(6)])
    assert alike
    scores = bm25([p.question for p in alike for _ in range(2)], [t for p in alike for t in (p.chosen, p.rejected)])
    assert list(scores[::2]) == pytest.approx(list(scores[1::2]), rel=0.1)


@pytest.mark.parametrize(
    "changed",
    [
        {"question": "Update: where do farmers store fruit?"},
        {"question": "My uncle told me how to store fruit best"},
        {"question": "Write a story about fruit, please?"},
        {"end": "Is it so that the cellar air lets nothing rot?"},
        {"end": "It lets nothing rot, for the cellar air is dry."},
        {"end": "```\nThe cellar air lets nothing rot.\n```"},
        {"end": "Thanks to the cellar air nothing rots."},
        {"end": "Good."},
        {"end": "Many people keep it in a cellar all year."},
        {"beginning": "> Where do I keep fruit in a cellar?"},
        {"beginning": "You have three ways in your cellar:"},
    ],
)
def test_what_asks_nothing_or_cannot_be_taken_apart_makes_no_pair(changed):
    """Before: stories without a question, and parts that lean on a sentence that is gone."""
    usual = {"beginning": "Many people keep fruit in a cellar all year.", "end": "Dry cellar air lets nothing rot."}
    threads = [fruit(i, **{**usual, **changed}) for i in range(6)]
    assert built(threads) == []


def test_limits_are_kept_to():
    threads = [fruit(i) for i in range(6)]
    assert built(threads)
    for changed in (
        {"least": 99},
        {"most": 20},
        {"share": (2.0, 9.0)},
        {"share": (0.0, 0.1)},
        {"novel": 0.0},
        {"topical": 9},
        {"answers": 0},
        {"ways": 0},
        {"uses": 0},
        {"nearest": 0.0},
        {"same": 0.0},
    ):
        assert built(threads, **changed) == []
    assert built([fruit(i, end=f"Dry cellar{i} air lets no{'o' * 40 * i} rot.") for i in range(3)]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Use oil. It is hot. Fry them. Eat.", ["Use oil. It is hot. Fry them.", "Eat."]),
        ("You need:\n\n- salt\n- oil\n\nFry all.", ["You need:\n\n- salt\n- oil\n\nFry all."]),
        ("Why so? Nobody knows.", ["Why so? Nobody knows."]),
        ("So be it. Good luck! Cook.", ["So be it.", "Cook."]),
        ("1. Boil.\n2. Eat.", []),
        ("Boil.\n\nEdit: Fry.", []),
        ("See it.\n| a | b |", []),
    ],
)
def test_chunks_stand_alone(text, expected):
    assert [chunk.text for chunk in chunks(text)] == expected


@given(long_texts)
def test_chunks_make_the_text_again(text):
    parts = chunks(text)
    assert not parts or joined(parts) == text.strip()


@settings(max_examples=60, deadline=None)
@given(threads=any_threads, seed=st.integers(0, 9), gap=st.floats(0, 1))
def test_sides_begin_alike_and_differ_and_no_word_is_made_up(threads, seed, gap):
    threads = [*threads, *(replace(thread, id=f"library/{i}") for i, thread in enumerate(library(4)))]
    found = built(threads, seed, gap=gap)
    assert found == built(threads, seed, gap=gap)
    said = {word for thread in threads for answer in thread.answers for word in answer.text.split()}
    for pair in found:
        assert pair.chosen.split() != pair.rejected.split()
        assert pair.chosen.split()[:3] == pair.rejected.split()[:3]
        assert {*pair.chosen.split(), *pair.rejected.split()} <= said
    chosen, rejected = (Counter(word for text in side for word in text.split()) for side in ends(found))
    assert chosen == rejected
