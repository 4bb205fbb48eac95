"""Near-duplicate questions and copied texts are found, others are not."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmodel.overlap import Exclusions, GramIndex, NearIndex, QuestionIndex
from prefmodel.types import Message

VOCABULARY = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]
WORD = st.sampled_from(VOCABULARY)
LONG = st.lists(WORD, min_size=12, max_size=60).map(" ".join)
SHORT = st.lists(WORD, min_size=1, max_size=11).map(" ".join)

SOURDOUGH = "How do I keep a sourdough starter alive over a long summer holiday?"


@given(question=st.text(), others=st.lists(st.text(), max_size=5))
def test_a_question_matches_itself_whatever_it_holds(question, others):
    assert QuestionIndex([*others, question]).match(question) is not None


@given(question=SHORT | LONG, seed=st.integers(0, 1000))
def test_case_and_punctuation_do_not_matter(question, seed):
    chance = random.Random(seed)
    words = [w.upper() if chance.random() < 0.5 else w for w in question.split()]
    changed = "".join(w + chance.choice([" ", ", ", "\n", " - ", "? "]) for w in words)
    assert QuestionIndex([question]).match(changed) == question


@given(question=LONG, before=st.lists(WORD, max_size=3), after=st.lists(WORD, max_size=3))
def test_a_few_words_around_a_long_question_do_not_matter(question, before, after):
    changed = " ".join([*before, question, *after])
    assert QuestionIndex([question]).match(changed) == question
    assert QuestionIndex([changed]).match(question) == changed


@given(texts=st.lists(st.lists(WORD, min_size=1, max_size=30), min_size=2, max_size=2))
def test_texts_without_a_common_word_do_not_match(texts):
    one, two = texts
    two = [word + "x" for word in two]  # no word of the vocabulary ends so
    assert QuestionIndex([" ".join(one)]).match(" ".join(two)) is None


@given(questions=st.lists(SHORT | LONG, max_size=8), query=SHORT | LONG)
def test_matching_is_symmetric_and_finds_what_a_pairwise_search_finds(questions, query):
    alone = [q for q in questions if QuestionIndex([q]).match(query)]
    assert alone == [q for q in questions if QuestionIndex([query]).match(q)]
    found = QuestionIndex(questions).match(query)
    assert found in alone if alone else found is None


def test_random_questions_do_not_match():
    chance = random.Random(0)
    drawn = [" ".join(chance.choices(VOCABULARY, k=chance.randint(3, 40))) for _ in range(400)]
    index = QuestionIndex(drawn[:200])
    assert [q for q in drawn[200:] if index.match(q)] == []


@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("how do i keep a sourdough starter alive over a long WINTER holiday", True),  # 7 of 9 5-grams
        ("How do I keep a sourdough starter alive", True),  # 8 words, all of whose 5-grams are there
        ("How do I keep a sourdough starter", False),  # 7 words are too few for 5-grams
        ("How do I keep a sourdough starter and bread alive over a long summer holiday?", True),  # 5 of 9
        ("How do I keep a bonsai tree alive over a long summer holiday?", False),  # 3 of 9
    ],
)
def test_the_rule(query, matches):
    assert (QuestionIndex([SOURDOUGH]).match(query) == SOURDOUGH) is matches


def test_half_of_the_5_grams_is_enough_and_less_is_not():
    eight, half = "a1 a2 a3 a4 a5 a6 a7 a8", "a1 a2 a3 a4 a5 a6 b7 b8 b9"  # 4 grams, of which 2 are shared
    less = "a1 a2 a3 a4 a5 b6 b7 b8 b9"  # 1 of 4
    index = QuestionIndex([eight])
    assert index.match(half) == eight
    assert index.match(less) is None


def test_the_first_words_count_only_when_there_are_twelve_of_them():
    twelve, eleven = "a b c d e f g h i j k l", "a b c d e f g h i j k"
    one, two = (twelve + "".join(f" {name}{i}" for i in range(30)) for name in "mn")  # 8 of 38 5-grams
    assert QuestionIndex([one]).match(two) == one
    assert QuestionIndex([one]).match(two.replace("l ", "x ", 1)) is None
    assert QuestionIndex(["a b c d e f"]).match("a b c d e") is None
    assert QuestionIndex([eleven]).match(eleven.upper()) == eleven


def test_the_closest_question_is_returned_and_the_earliest_of_equals():
    near, nearer = "x y z q a b c d e f", "z q a b c d e f"
    assert QuestionIndex([near, nearer]).match("z q a b c d e g h i j k") == nearer
    assert QuestionIndex(["Why so?", "why  so"]).match("WHY SO") == "Why so?"


SYSTEM = Message("system", "You are a helpful, respectful and honest assistant. Always answer as helpfully as you can.")


def test_a_message_of_the_system_makes_no_questions_alike():
    asked, other = ((SYSTEM, Message("user", text)) for text in (SOURDOUGH, "How long should I boil an egg?"))
    exclusions = Exclusions([asked], [SOURDOUGH], near=True)
    assert exclusions.reason(other, ["Six minutes."]) is None
    assert exclusions.reason(asked, ["Feed it."]) == exclusions.reason(SOURDOUGH, ["Feed it."]) == "same question"
    assert QuestionIndex([(SYSTEM,)]).match((SYSTEM,)) is not None  # it is all that there is


def test_a_dialogue_is_compared_as_a_whole_and_by_each_user_message():
    dialogue = (
        Message("user", "Hello, chef!"),
        Message("assistant", "Yes, what may I cook?"),
        Message("user", SOURDOUGH),
    )
    text = "Human: Hello, chef!\n\nAssistant: Yes, what may I cook?\n\nHuman: " + SOURDOUGH
    for query in (dialogue, text):
        assert QuestionIndex([SOURDOUGH]).match(query) == SOURDOUGH
        assert QuestionIndex(["Hello chef"]).match(query) == "Hello chef"
        assert QuestionIndex(["Yes what may I cook"]).match(query) is None  # what the assistant says is no question
    assert QuestionIndex([dialogue]).match(SOURDOUGH) == "\n\n".join(m.content for m in dialogue)
    assert QuestionIndex([dialogue]).match(dialogue) is not None


def test_an_empty_index_matches_nothing():
    assert len(QuestionIndex([])) == 0
    assert QuestionIndex([]).match("Why?") is None


# Runs of 13 words


@given(
    before=st.lists(WORD, max_size=20), run=st.lists(WORD, min_size=13, max_size=30), after=st.lists(WORD, max_size=20)
)
def test_13_words_in_a_row_are_found_wherever_they_stand(before, run, after):
    text = ", ".join([*before, *run, *after]).upper()
    assert GramIndex(["no such text", " ".join(run)]).match(text)
    assert GramIndex([text]).match(" ".join(run))


@given(texts=st.lists(LONG, max_size=4), query=LONG)
def test_runs_are_those_that_a_plain_search_finds(texts, query):
    def runs(text):
        words = text.split()
        return {tuple(words[i : i + 13]) for i in range(len(words) - 12)}

    assert GramIndex(texts).match(query) is any(runs(text) & runs(query) for text in texts)


def test_12_words_in_a_row_are_not_enough():
    words = VOCABULARY[:40]
    index = GramIndex([" ".join(words)])
    for start in range(28):
        assert not index.match(" ".join(["x", *words[start : start + 12], "x"]))
        assert index.match(" ".join(["x", *words[start : start + 13], "x"]))


# Near-duplicates


def test_nearly_all_near_texts_are_found_and_no_others():
    chance = random.Random(0)
    texts = [chance.sample(VOCABULARY, 40) for _ in range(300)]
    index = NearIndex()
    for text in texts:
        index.add(" ".join(text))
    near = [index.match(" ".join(["odd", *text[1:-1], "end"])) for text in texts]  # shares .9
    assert sum(found == number for number, found in enumerate(near)) >= 297
    half = [index.match(" ".join([*text[:20], *chance.sample(VOCABULARY, 20)])) for text in texts]
    assert half == [None] * 300


@given(texts=st.lists(st.text(), max_size=4), query=st.text())
def test_any_text_is_near_itself(texts, query):
    index = NearIndex()
    numbers = [index.add(text) for text in [*texts, query]]
    assert index.match(query) in numbers


def test_reasons_in_their_order():
    copied = " ".join(VOCABULARY[:13])
    exclusions = Exclusions([SOURDOUGH], [copied], near=True)
    assert exclusions.reason(SOURDOUGH, [copied]) == "same question"
    assert exclusions.reason("Why?", ["No.", f"Oh, {copied}!"]) == "13 words"
    assert exclusions.reason(f"Why {copied}?", ["No."]) == "13 words"
    assert exclusions.reason("Why?", ["No.", "Yes."]) is None
    assert Exclusions().reason("Why?", ["No."]) is None
