"""Axioms that pair whole answers: usefulness and human labels."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axioms import human, usefulness
from axioms.human import HumanConfig, as_dialogue
from axioms.usefulness import UsefulnessConfig
from prefmodel.errors import InputError
from prefmodel.types import Answer, Message, PreferencePair, Thread
from tests.threads import ask

# Usefulness


def voted(*votes, created=()):
    dates = dict(enumerate(created))
    answers = [Answer(f"answer {i}", votes=v, created=dates.get(i)) for i, v in enumerate(votes)]
    return ask(0, "Why?", *answers)


def useful(thread, **config):
    return list(usefulness.build([thread], Random(0), UsefulnessConfig(**config)))


@pytest.mark.parametrize(
    ("votes", "paired"),
    [
        ((5, 2), True),  # (5 + 1) / (2 + 1) is twice, and 3 more
        ((2, 0), False),  # three times, but only 2 more
        ((9, 5), False),  # 4 more, but not twice
        ((11, 5), True),
        ((0, -3), False),  # negative votes are no ratio
        ((1, -3), True),
        ((None, 0), False),
        ((9, None), False),
        ((7, 7), False),
    ],
)
def test_clearly_more_votes(votes, paired):
    for order, chosen in ((votes, 0), (votes[::-1], 1)):
        found = useful(voted(*order))
        assert [(p.chosen, p.rejected) for p in found] == [(f"answer {chosen}", f"answer {1 - chosen}")] * paired
        assert [p.provenance for p in found] == [{"recipe": "votes", "votes": list(votes)}] * paired


@pytest.mark.parametrize(
    ("winner", "loser", "paired"),
    [
        ("2020-02-20", "2020-03-05", True),  # 14 days
        ("2020-02-20", "2020-03-06", False),
        ("2021-01-01", "2020-01-01", True),  # a later answer won in less time
        (None, "2020-01-01", True),
        ("2010-01-01", None, True),
    ],
)
def test_an_older_answer_does_not_win_by_its_age(winner, loser, paired):
    assert len(useful(voted(50, 1, created=(winner, loser)))) == paired
    assert len(useful(voted(1, 50, created=(loser, winner)), head_start=15)) == 1 or not paired


def test_the_pairs_with_the_highest_ratio_are_kept():
    found = useful(voted(40, 20, 9, 0))
    assert [p.provenance["votes"] for p in found] == [[40, 0], [20, 0], [9, 0]]
    assert len(useful(voted(40, 20, 9, 0), pairs_per_thread=9)) == 5  # of 6 all but (40, 20), which is not twice


@pytest.mark.parametrize(
    ("accepted", "other", "recipe"),
    [
        (5, 5, "accepted"),
        (6, 5, "accepted"),
        (9, 0, "votes"),
        (5, 6, None),  # voters slightly prefer the other
        (0, 9, None),  # voters clearly do, but the asker does not: no pair either way
        (None, None, "accepted"),
        (None, 0, None),
        (0, None, None),
        (-1, -1, "accepted"),
    ],
)
def test_the_accepted_answer_wins_unless_others_have_more_votes(accepted, other, recipe):
    pick, rest = Answer("picked", votes=accepted, accepted=True), Answer("other", votes=other, accepted=False)
    for answers in ((pick, rest), (rest, pick)):
        found = useful(ask(0, "Why?", *answers))
        assert [(p.chosen, p.provenance["recipe"]) for p in found] == ([("picked", recipe)] if recipe else [])
        if recipe:
            share = (max(accepted or 0, 0) + 1) / (max(other or 0, 0) + 1)
            assert found[0].margin == pytest.approx(min(0.2 * math.log(share), 0.8))


def test_an_accepted_answer_does_not_win_by_its_age():
    early, late = ({"votes": 3, "created": day} for day in ("2020-01-01", "2020-03-01"))
    assert useful(ask(0, "Why?", Answer("a", accepted=True, **early), Answer("b", **late))) == []
    assert len(useful(ask(0, "Why?", Answer("a", accepted=True, **late), Answer("b", **early)))) == 1


def test_equal_answers_are_no_pair():
    assert useful(ask(0, "Why?", Answer("Same.", votes=9), Answer("Same.", votes=0))) == []


@pytest.mark.parametrize("blank", ["", " \n"])
def test_an_answer_without_text_is_in_no_pair(blank):
    more, fewer = Answer(blank, votes=90, accepted=True), Answer(blank, votes=0)
    assert useful(ask(0, "Why?", more, Answer("So.", votes=9), fewer)) == []
    assert len(useful(ask(0, "Why?", more, Answer("So.", votes=9), Answer("No.", votes=0)))) == 1


@given(st.lists(st.none() | st.integers(-9, 3000), max_size=6), st.floats(1, 5), st.integers(1, 9), st.integers(0, 3))
def test_ratio_gap_cap_and_margin(votes, ratio, gap, cap):
    found = useful(voted(*votes), ratio=ratio, gap=gap, pairs_per_thread=cap)
    assert len(found) <= cap
    for pair in found:
        more, fewer = pair.provenance["votes"]
        share = (max(more, 0) + 1) / (max(fewer, 0) + 1)
        assert more - fewer >= gap
        assert share >= ratio
        assert pair.margin == pytest.approx(min(0.2 * math.log(share), 0.8))


def test_the_margin_grows_with_the_ratio_up_to_a_bound():
    margins = [useful(voted(votes, 0))[0].margin for votes in (3, 7, 15, 31, 63, 127)]
    assert margins == sorted(margins)
    assert margins[0] > 0
    assert margins[-2:] == [0.8, 0.8]
    assert margins[1] - margins[0] == pytest.approx(0.2 * math.log(2))


@pytest.mark.parametrize("created", ["yesterday", "2020-1-1", "20200101", "2020-02-30", "2020-01-01T10:00", "", 2020])
def test_a_date_that_is_none_is_told_where_it_is_read(created):
    row = {
        "id": "a",
        "source": "a",
        "question": "Why?",
        "answers": [{"text": "So."}, {"text": "x", "created": created}],
    }
    with pytest.raises(InputError, match=r"answers\[1\]: created is .*; allowed: a date YYYY-MM-DD or none"):
        Thread.from_dict(row)


# Human labels

DIALOGUE = "Human: Hi\nthere\n\nAssistant: Hello! Human: is a word\n\nHuman: Why?\n\nHuman"


def test_a_text_of_turns_becomes_messages():
    assert as_dialogue(DIALOGUE) == (
        Message("user", "Hi\nthere"),
        Message("assistant", "Hello! Human: is a word"),
        Message("user", "Why?"),
    )


def test_empty_turns_go_and_other_texts_stay():
    assert as_dialogue("Human: \n\nHuman: Why?") == (Message("user", "Why?"),)
    for text in ("Human: ", "Humans err.", "Why Human: ?", " Human: Why?", ""):
        assert as_dialogue(text) == text
    assert as_dialogue("Assistant: Hello") == (Message("assistant", "Hello"),)


@given(st.text(), st.sampled_from(["", "Human: ", "Assistant: "]))
def test_no_word_of_a_dialogue_is_lost(text, start):
    found = as_dialogue(start + text)
    if not isinstance(found, str):
        assert start
        said = " ".join(message.content for message in found).split()
        marks = ("Human:", "Assistant:", "Human", "Assistant")
        assert [w for w in said if w not in marks] == [w for w in (start + text).split() if w not in marks]


def label(question, chosen="Yes.", rejected="No.", **others):
    return PreferencePair(question, chosen, rejected, **{"axiom": "human", "source": "demo", **others})


def test_labels_are_marked_and_dialogues_parsed():
    pairs = [label(DIALOGUE, provenance={"gpt4": 1.0}), label((Message("user", "Who?"),), principle="relevance")]
    found = sorted(human.build(pairs, Random(0)), key=lambda p: len(p.question))
    assert [(p.axiom, p.provenance, p.principle, p.source) for p in found] == [
        ("human", {}, "relevance", "demo"),
        ("human", {}, None, "demo"),
    ]
    assert [p.question for p in found] == [(Message("user", "Who?"),), as_dialogue(DIALOGUE)]


def test_how_difficult_a_label_is_stays():
    (found,) = human.build([label("Why?", provenance={"difficulty": 0.7, "gpt4": 1.0})], Random(0))
    assert found.provenance == {"difficulty": 0.7}


def test_what_an_axiom_built_is_no_label():
    with pytest.raises(InputError, match=r"axiom of a label is 'relevance'; allowed: .* data\.pairs of a recipe"):
        list(human.build([label("Why?"), label("Who?", axiom="relevance")], Random(0)))


def test_labels_that_differ_only_in_spaces_are_dropped():
    assert list(human.build([label("Why?", "So  it\nis.", " So it is."), label("Why?", "", "\t")], Random(0))) == []
    assert len(list(human.build([label("Why?", "So it is.", "Soit is.")], Random(0)))) == 1


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 5), st.integers(0, 9))
def test_each_question_gives_at_most_so_many_labels(asked, cap, seed):
    pairs = [label(f"Why {number}?", f"Because {i}.") for i, number in enumerate(asked)]
    found = list(human.build(pairs, Random(seed), HumanConfig(pairs_per_question=cap)))
    for number in range(4):
        mine = [p.chosen for p in found if p.question == f"Why {number}?"]
        assert len(mine) == len(set(mine)) == min(cap, asked.count(number))
