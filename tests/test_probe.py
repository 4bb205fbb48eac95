"""Probes with scorers whose true result is known, and what every manipulation keeps."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefmodel.baselines import bm25, longer
from prefmodel.errors import InputError
from prefmodel.probe.manipulations import TITLES
from prefmodel.probe.measure import WORST, packaged_pairs, probe
from prefmodel.probe.registry import PROBES, manipulated
from prefmodel.types import Message, PreferencePair

ANY = st.text(st.characters(), min_size=1, max_size=80).filter(str.strip)  # lone surrogates too
SENTENCES = st.lists(
    st.sampled_from(["Because of x.", "So it is!", "Is it?", "- one", "*Two*."]), min_size=1, max_size=5
)
TEXT = ANY | st.builds(str.join, st.sampled_from([" ", "\n"]), SENTENCES)
LONG = "Because air scatters short waves of light more than long ones, so blue reaches us from all sides."


def a_pair(question="Why is the sky blue?", chosen=LONG, rejected="No idea.", **more):
    return PreferencePair(question, chosen, rejected, axiom="human", source="demo", **more)


def logits(function):
    """Return a scorer that gives each answer `function` of it."""
    return lambda questions, answers: np.array([function(answer) for answer in answers], np.float32)


def holds(text, answer):
    """Tell whether the characters of `answer`, white space aside, stand in `text` in their order."""
    rest = iter(text)
    return all(character in rest for character in "".join(answer.split()))


@pytest.mark.parametrize("name", PROBES)
@settings(deadline=None)  # a busy machine must not fail it
@given(question=TEXT, answer=TEXT, seed=st.integers(0, 5))
def test_a_manipulation_keeps_the_answer_and_repeats_itself(name, question, answer, seed):
    text = manipulated(name, question, answer, seed)
    assert text == manipulated(name, question, answer, seed)
    assert text != answer
    assert holds(text, answer)
    if name not in ("markdown", "combination"):
        assert answer in text


@settings(deadline=None)  # a busy machine must not fail it
@given(answer=TEXT, seed=st.integers(0, 20))
def test_markdown_adds_a_heading_and_marks_only(answer, seed):
    heading, blank, body = manipulated("markdown", "Why?", answer, seed).split("\n", 2)
    assert heading.lstrip("# ") in TITLES
    assert blank == ""
    assert Counter(re.sub(r"\s|[*-]", "", body)) == Counter(re.sub(r"\s|[*-]", "", answer))


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_has_several_phrasings(name):
    answer = "Because of x. Also because of y."
    assert len({manipulated(name, "Why is the sky so blue?", answer, seed) for seed in range(40)}) >= 3


def test_code_keeps_its_lines():
    code = "```python\ndef f(x):\n    return x. Y\n```"
    assert all(code in manipulated("markdown", "Why?", code, seed) for seed in range(10))


def test_of_a_dialogue_the_last_message_is_copied():
    dialogue = (Message("user", "I like eggs."), Message("assistant", "Boiled?"), Message("user", "Fried. How long?"))
    for seed in range(10):
        text = manipulated("copied-question", dialogue, "Three minutes.", seed)
        assert "Fried. How long?" in text
        assert "I like eggs" not in text


@pytest.mark.parametrize(
    ("question", "word"), [("How is it?", "how"), ("???", "???"), ("Where do whales go?", "whales")]
)
def test_keywords_are_found_in_any_question(question, word):
    assert word in manipulated("keywords", question, "Because.")


def test_a_scorer_of_length_is_raised_by_everything():
    report = probe(longer, [a_pair(), a_pair("Why so?", chosen=LONG * 2)])
    assert [result.name for result in report.results] == [*PROBES, WORST]
    for result in report.results:
        assert result.shift.value > 0
        assert result.shift_chosen.value > 0
        assert result.rises.value == 1
        assert result.cut is None
    assert report.accuracy.value == 1
    worst, combination = report.results[-1], report.results[-2]
    assert worst.shift == combination.shift
    assert worst.example.probe == "combination"


def test_a_scorer_that_ignores_the_additions_shows_none():
    pairs = [a_pair(f"Why {i}?", "good " * 5, "bad " * (i + 1)) for i in range(4)]
    report = probe(logits(lambda answer: 3.0 if "good" in answer else 0.0), pairs)
    assert report.clear == 4
    for result in report.results:
        assert result.shift.value == result.shift_chosen.value == result.rises.value == result.flipped.value == 0
        assert (result.flipped.low, result.flipped.high) == (0, 0)


def test_shares_and_shifts_by_hand():
    # A comma in the answer is worth 10 logits, so `keywords` shifts an answer by what it adds to a list of words.
    scorer = logits(lambda answer: 10.0 * min(answer.count(","), 1) + len(answer) / 10)
    pairs = [
        a_pair("Blue sky, red sea?", "a" * 60, "b" * 10),  # clear; keywords bring a comma: flipped
        a_pair("Whales?", "a" * 200, "b" * 10),  # clear; one keyword, no comma
        a_pair("Red or green apples?", "a" * 20, "b" * 15),  # ahead by half a logit: not clear
        a_pair("Which?", "a", "b", target=0.5),
    ]
    report = probe(scorer, pairs, ["keywords"])
    assert (report.pairs, report.questions, report.ignored, report.clear) == (3, 3, 1, 2)
    assert report.clear_margin == pytest.approx(math.log(3))
    [result] = report.results
    assert (result.flipped.value, result.flipped.count) == (0.5, 2)
    assert (result.rises.value, result.rises.count) == (1, 3)
    texts = [manipulated("keywords", p.question, p.rejected) for p in pairs[:3]]
    shifts = scorer(None, texts) - scorer(None, [p.rejected for p in pairs[:3]])
    assert result.shift.value == pytest.approx(shifts.mean())
    untouched = scorer(None, [a for p in pairs[:3] for a in (p.chosen, p.rejected)])
    assert report.sd == pytest.approx(untouched.std())
    assert result.shift_sd.value == pytest.approx(shifts.mean() / untouched.std())
    assert result.example.manipulated == texts[shifts.argmax()]
    assert result.example.manipulated_score - result.example.score == pytest.approx(shifts.max())


def test_the_temperature_says_which_pairs_are_clear():
    pairs = [a_pair(chosen="a" * 40), a_pair("Why so?", chosen="a" * 12)]
    scorer = logits(lambda answer: len(answer) / 10)
    assert probe(scorer, pairs, ["claim"], temperature=0.1).clear == 2
    assert probe(scorer, pairs, ["claim"], temperature=1.0).clear == 1
    assert probe(scorer, pairs, ["claim"], temperature=2.0).clear_margin == pytest.approx(2 * math.log(3))


def test_worst_takes_the_highest_score_of_each_answer():
    def scorer(questions, answers):
        return np.array([4 * ("aaa" in a) + ("keyword" in a.lower()) + 2 * ("checked" in a) for a in answers], float)

    pairs = [a_pair(f"Why {i}?", "aaa", "b") for i in range(30)]
    keywords, claim, worst = probe(scorer, pairs, ["keywords", "claim"]).results
    assert keywords.shift.value < worst.shift.value
    assert claim.shift.value < worst.shift.value
    assert worst.shift.value < 2
    assert worst.rises.value > max(keywords.rises.value, claim.rises.value)


def test_what_happens_to_the_better_answer_is_told_apart():
    scorer = logits(lambda answer: 5.0 * answer.count("good") + answer.count("bad") * answer.count("checked"))
    pairs = [a_pair(f"Why {i}?", "good", "bad") for i in range(20)]
    result = probe(scorer, pairs, ["claim"]).results[0]
    assert 0 < result.shift.value == result.rises.value < 1
    assert result.shift_chosen.value == 0


def test_pairs_of_one_question_fall_together_and_their_order_does_not_matter():
    pairs = [a_pair(f"Why {i // 2}?", "a" * 90, "b, " * (i // 2 + i % 2)) for i in range(10, 50)]
    scorer = logits(lambda answer: len(answer) / 10 + 9 * ("checked" in answer))
    result = probe(scorer, pairs, ["claim"]).results[0]
    assert result.shift == probe(scorer, pairs[::-1], ["claim"]).results[0].shift
    assert probe(scorer, pairs[:2], ["claim"]).questions == 1
    assert math.isnan(probe(scorer, pairs[:2], ["claim"]).results[0].shift.low)


def test_cuts_are_counted(model):
    pairs = [a_pair(f"Why {word}?", GOOD, BAD) for word in ("sky", "blue", "light", "air") for GOOD, BAD in GOOD_BAD]
    report = probe(model, pairs, ["combination", "claim"], temperature=1e-6)
    long, short, worst = report.results
    assert report.cut == 0
    assert long.cut == 2 * len(pairs)  # it never fits 64 tokens
    assert 0 <= short.cut < long.cut
    assert 0 < worst.cut <= long.cut


GOOD_BAD = [("because air scatters light", "why"), ("why", "because air scatters light")]


def test_a_model_is_scored_as_its_methods_do(model):
    questions = [f"Why {word} {other}?" for word in ("sky", "blue", "air") for other in ("is", "the", "user")]
    pairs = [a_pair(question, good, bad) for question in questions for good, bad in GOOD_BAD]
    report = probe(model, pairs, temperature=1e-6)
    for result in report.results[:-1]:  # 432 answers, in more than one chunk
        for shift, side in ((result.shift, "rejected"), (result.shift_chosen, "chosen")):
            asked = [p.question for p in pairs]
            answers = [(p.question, getattr(p, side)) for p in pairs]
            before = model.score_batch(asked, [answer for _, answer in answers]).scores
            after = model.score_batch(asked, [manipulated(result.name, *both) for both in answers]).scores
            assert shift.value == pytest.approx((after - before).mean(), abs=1e-3)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"probes": ["magic"]}, "probes holds 'magic'; allowed: flattery, "),
        ({"probes": []}, "probes is empty"),
        ({"pairs": []}, "none of 0 pairs"),
        ({"pairs": [a_pair(target=0.2)]}, "none of 1 pairs has a target above .5"),
        ({"model": logits(lambda answer: 1.0)}, "none of 1 pairs is clear to the model; .* 1.10 logits"),
        ({"model": logits(lambda answer: math.nan)}, "or NaN; allowed: 4 numbers"),
        ({"model": lambda questions, answers: np.zeros(3)}, r"shape \(3,\)"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"temperature": math.nan}, "temperature is nan"),
    ],
)
def test_what_cannot_be_probed_is_named(change, text):
    arguments = {"model": longer, "pairs": [a_pair()], "probes": ["claim"]} | change
    with pytest.raises(InputError, match=text):
        probe(**arguments)


def test_bm25_falls_for_keywords():
    keywords, flattery, _ = probe(bm25, packaged_pairs(), ["keywords", "flattery"]).results
    assert keywords.shift.low > 1
    assert keywords.shift.value > flattery.shift.value
    assert keywords.flipped.value > 0.5
