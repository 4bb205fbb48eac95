"""Axioms that pair whole answers: usefulness, relevance, strength, and human labels."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axioms import human, relevance, strength, usefulness
from axioms.human import HumanConfig, as_dialogue
from axioms.relevance import RelevanceConfig, best_answer
from axioms.strength import StrengthConfig, default_ratings
from axioms.usefulness import UsefulnessConfig
from prefmodel.errors import InputError
from prefmodel.types import Answer, Message, PreferencePair, Thread
from tests.threads import ask, library

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
        assert [p.provenance for p in found] == [{"votes": list(votes)}] * paired


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


def test_equal_answers_are_no_pair():
    assert useful(ask(0, "Why?", Answer("Same.", votes=9), Answer("Same.", votes=0))) == []


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


# Relevance


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(1, 4))
def test_a_negative_is_the_best_answer_to_a_similar_question_of_the_source(seed, count):
    threads = [*library(12), *(Thread(f"o{t.id}", "other", t.question, t.answers) for t in library(6))]
    by_id = {thread.id: thread for thread in threads}
    config = RelevanceConfig(depth=5, pairs_per_thread=count)
    found = list(relevance.build(threads, Random(seed), config))
    assert len(found) == count * len(threads)
    for pair in found:
        thread, other = by_id[pair.thread_id], by_id[pair.provenance["negative_of"]]
        assert other is not thread
        assert other.source == thread.source
        assert (pair.chosen, pair.rejected) == (best_answer(thread).text, best_answer(other).text)
        assert 0 <= pair.provenance["rank"] < 6
        assert 0 < pair.provenance["similarity"] < 1
    negatives = [(pair.thread_id, pair.provenance["negative_of"]) for pair in found]
    assert len(set(negatives)) == len(negatives)


def loose(**settings):
    """Return a configuration for short answers and few, very similar questions."""
    return RelevanceConfig(**{"nearest": 2.0, "least_words": 1} | settings)


def test_a_negative_is_not_too_near_and_both_answers_say_something():
    threads = [
        ask(0, "How do I store roasted coffee beans?", "In a dark tin."),
        ask(1, "How do I grind roasted coffee beans?", "With a burr grinder."),
        ask(2, "Who sells coffee near me?", "The shop in Main Street."),
        ask(3, "Is coffee healthy?", "Yes."),
    ]
    found = [p.provenance for p in relevance.build(threads, Random(0), loose(pairs_per_thread=5, same=0.7))]
    assert any(p["similarity"] >= 0.5 for p in found)
    assert any(p["negative_of"] == "demo/3" for p in found)
    pairs = list(relevance.build(threads, Random(0), RelevanceConfig(pairs_per_thread=5, same=0.7)))
    assert pairs
    assert all(p.provenance["similarity"] < 0.5 for p in pairs)
    assert all(len(text.split()) >= 4 for p in pairs for text in (p.chosen, p.rejected))


def test_a_near_duplicate_question_gives_no_negative():
    threads = [
        ask(0, "How do I store roasted coffee beans?", "In a tin."),
        ask(1, "How should I store roasted coffee beans", "In a jar."),
        ask(2, "Which coffee beans are the best?", "Arabica."),
    ]
    pairs = list(relevance.build(threads, Random(0), loose(pairs_per_thread=5)))
    assert [(p.chosen, p.rejected) for p in pairs if p.thread_id != "demo/2"] == [
        ("In a tin.", "Arabica."),
        ("In a jar.", "Arabica."),
    ]
    strict = list(relevance.build(threads, Random(0), loose(pairs_per_thread=5, same=1.1)))
    assert ("In a tin.", "In a jar.") in [(p.chosen, p.rejected) for p in strict]


def test_a_closer_question_has_a_lower_rank_and_a_greater_similarity():
    threads = [
        ask(0, "How is Norwegian cider brewed in old barrels?", "a"),
        ask(1, "How are old barrels made?", "b"),
        ask(2, "Who sells Norwegian cider brewed in summer?", "c"),
    ]
    pairs = [p for p in relevance.build(threads, Random(0), loose(pairs_per_thread=2)) if p.chosen == "a"]
    found = {p.rejected: p.provenance for p in pairs}
    assert (found["c"]["rank"], found["b"]["rank"]) == (0, 1)
    assert found["c"]["similarity"] > found["b"]["similarity"]


def test_the_best_answer_is_the_accepted_one_then_the_one_with_most_votes_then_the_first():
    plain, liked, accepted = Answer("plain"), Answer("liked", votes=9), Answer("accepted", votes=1, accepted=True)
    assert best_answer(ask(0, "Why?", plain, liked, accepted)) is accepted
    assert best_answer(ask(0, "Why?", plain, liked)) is liked
    assert best_answer(ask(0, "Why?", plain, Answer("other"))) is plain


# Strength

RATINGS = {"strong": 1400.0, "middle": 1200.0, "close": 1190.0, "weak": 1000.0}


def by_models(*models):
    return ask(0, "Why?", *(Answer(f"by {m}", "model", model=m) for m in models))


def strong(thread, **config):
    return list(strength.build([thread], Random(0), StrengthConfig(ratings=RATINGS, **config)))


@pytest.mark.parametrize("order", [("strong", "weak"), ("weak", "strong")])
def test_the_stronger_model_is_chosen_with_elo_s_probability(order):
    (pair,) = strong(by_models(*order))
    assert (pair.chosen, pair.rejected) == ("by strong", "by weak")
    assert pair.target == pytest.approx(10 / 11, abs=1e-4)  # 400 points are odds of 10 to 1
    assert pair.provenance == {"models": ["strong", "weak"], "gap": 400}
    assert pair.principle is None


def test_models_that_are_close_unknown_or_silent_are_left_out():
    assert strong(by_models("middle", "close")) == []
    assert strong(by_models("middle", "close"), gap=10)[0].target == pytest.approx(0.5144, abs=1e-4)
    assert strong(by_models("strong", "unheard-of")) == []
    assert strong(ask(0, "Why?", Answer("by a person"), Answer("x", "model", model="weak"))) == []
    assert strong(ask(0, "Why?", Answer(" \n", "model", model="strong"), Answer("x", "model", model="weak"))) == []


def test_a_thread_gives_at_most_so_many_pairs_of_models():
    assert len(strong(by_models(*RATINGS))) == 5
    assert len(strong(by_models(*RATINGS), pairs_per_thread=2)) == 2
    assert {p.target > 0.5 for p in strong(by_models(*RATINGS))} == {True}


def test_the_package_brings_ratings():
    ratings = default_ratings()
    assert ratings["gpt-4"] > ratings["vicuna-13b-v1.5"] > ratings["llama-13b"]


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
    return PreferencePair(question, chosen, rejected, axiom="any", source="demo", **others)


def test_labels_are_marked_and_dialogues_parsed():
    pairs = [label(DIALOGUE, provenance={"gpt4": 1.0}), label((Message("user", "Who?"),), principle="relevance")]
    found = sorted(human.build(pairs, Random(0)), key=lambda p: len(p.question))
    assert [(p.axiom, p.provenance, p.principle, p.source) for p in found] == [
        ("human", {}, "relevance", "demo"),
        ("human", {}, None, "demo"),
    ]
    assert [p.question for p in found] == [(Message("user", "Who?"),), as_dialogue(DIALOGUE)]


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
