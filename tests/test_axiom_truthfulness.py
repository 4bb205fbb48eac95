"""Truthfulness: what may be made wrong, what is left as it is, and that nothing but the truth tells the sides apart."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from axioms import truthfulness
from axioms.clauses import turn_clauses
from axioms.corruptions import KINDS, PROTECTED, places, put
from axioms.lexicon import CAUSES, OPPOSITES, TYPES
from axioms.truthfulness import TruthfulnessConfig
from prefmodel.types import Answer
from tests.threads import any_threads, ask, library


def exchanged(*texts, seed=0, question="Why?", **config):
    """Return the recipe and the wrong form of each text, with the texts in one block."""
    threads = [ask(i, question, text) for i, text in enumerate(texts)]
    found = truthfulness.build(threads, Random(seed), TruthfulnessConfig(**config))
    return {pair.chosen: (pair.provenance["recipe"], pair.rejected) for pair in found}


@pytest.mark.parametrize(
    ("kind", "one", "wrong", "other", "other_wrong"),
    [
        ("number", "It has 12 moons.", "It has 37 moons.", "Take 37 eggs.", "Take 12 eggs."),
        ("number", "It has 40 moons.", "It has 70 moons.", "Take 70 eggs.", "Take 40 eggs."),
        ("number", "It costs $1,257 now.", "It costs $8,371 now.", "It was $8,371 then.", "It was $1,257 then."),
        ("number", "About 0.25 of it.", "About 7.13 of it.", "Wait for 7.13 of them.", "Wait for 0.25 of them."),
        ("number", "It has twelve moons.", "It has five moons.", "Buy five jars.", "Buy twelve jars."),
        ("number", "Some 30% stay.", "Some 80% stay.", "At 80% it stops.", "At 30% it stops."),
        ("date", "It opened in 1915.", "It opened in 1931.", "Built in 1931 there.", "Built in 1915 there."),
        ("date", "It is of the 1950s.", "It is of the 1970s.", "Made in the 1970s.", "Made in the 1950s."),
        ("date", "In the 12th century.", "In the 18th century.", "Of the 18th century.", "Of the 12th century."),
        ("date", "Every Sunday it opens.", "Every Friday it opens.", "See it on Friday.", "See it on Sunday."),
        ("unit", "Wait 3 hours here.", "Wait 3 days here.", "It took 3 days.", "It took 3 hours."),
        ("entity", "He went to Norway.", "He went to Peru.", "Ask in Peru.", "Ask in Norway."),
        ("entity", "Take a red one.", "Take an orange one.", "An orange hat.", "A red hat."),
        ("entity", "Iron is hard to get.", "Copper is hard to get.", "Melt the copper.", "Melt the iron."),
        ("antonym", "It always works.", "It never works.", "They never call.", "They always call."),
        ("antonym", "More than that.", "Less than that.", "It is less than one.", "It is more than one."),
        ("negation", "It is a star.", "It is not a star.", "This is not a moon.", "This is a moon."),
        ("negation", "It isn't the best.", "It is the best.", "That is the sea.", "That isn't the sea."),
        ("negation", "You can see it.", "You can't see it.", "They can't see me.", "They can see me."),
        ("negation", "So you need it.", "So you don't need it.", "Yes, you don't need me.", "Yes, you need me."),
        ("name", "By John Smith.", "By Tom Brown.", "Ask Tom Brown now.", "Ask John Smith now."),
        ("name", "Near the Red Sea.", "Near the Dead Sea.", "In the Dead Sea.", "In the Red Sea."),
        ("causal", "Smoke causes pain.", "Smoke is caused by pain.", "Smoke is caused by heat.", "Smoke causes heat."),
        ("causal", "It led to war.", "It resulted from war.", "And it resulted from luck.", "And it led to luck."),
    ],
)
def test_two_answers_exchange_what_they_say(kind, one, wrong, other, other_wrong):
    assert exchanged(one, other) == {one: (kind, wrong), other: (kind, other_wrong)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It has 12 moons.", "It has 13 moons."),  # hardly wrong
        ("It has 12 moons.", "It has 1 moon."),  # another shape
        ("It has 12 moons.", "It has 40 moons."),  # a round number
        ("It has 12 moons.", "It has 12 suns."),
        ("It opened in 1915.", "It opened in 2021."),  # nobody would believe it
        ("Wait 3 hours here.", "It took 3 centuries."),
        ("Norway is big.", "Peru is not Norway."),  # "Peru is not Peru"
        ("He went to Norway.", "He always went."),
        ("1. Boil it\n2. Stir it\n 13) Drink it", "2. Boil it\n3. Stir it\n 14) Drink it"),
        ("Some: 1. Boil it. 2. Stir it. 3.) Eat", "Some: 4. Boil it. 5. Stir it. 6.) Eat"),
        ("So they say [12], others too [23].", "So they say [34], others too [56]."),
        ("See section-4, v2.0.1, x7, 3/4; at 10:30", "See section-5, v3.0.1, x8, 1/4; at 12:30"),
        ("It is no longer so.", "It is no shorter one."),
        ("Take a few more eggs.", "Take a many less eggs."),
        ("She left New England.", "She left New Mexico City."),
        ("He saw 12 Years a Slave.", "He saw 12 Days a Slave."),
        ("The good, the bad or ugly.", "The bad, the good or ugly."),
        ("It is not a star.", "It isn't a star."),
        ("Drink Belgium Tripel.", "Or a Belgian Tripel."),  # here and below, what a blind reader could not tell
        ("Take 2 or 3 eggs.", "Take 5 or 8 of them."),
        ("Take 20% to 40% of it.", "Wait for 60%, or 80% of it."),
        ("Take 2 or maybe 3.", "Wait for 5 or maybe 8."),
        ("2007: it begins. In 2007 it is new.", "1999: it begins. In 1999 it is new."),
        ("It is a star, if there ever was.", "It is not a star at all."),
        ("I think it is hot.", "I say it is cold."),
        ("My flat has 12 rooms.", "I saw 37 moons."),
        ("So I think it is a star.", "I say this is not a moon."),
        ("Look out for red flags.", "Look out for blue ones."),
        ("Nobody says it is cold.", "He says it was hot."),
        ("I don't see it. We don't think you can see it.", "Then they can't see me."),
        ("They play tennis.", "They like swimming."),
        ("It ended in 2017.", "It ends in 2050."),
        ("Engineering applications are many.", "So is history."),
    ],
)
def test_what_cannot_be_exchanged_stays(one, other):
    assert exchanged(one, other) == {}


def test_a_word_is_not_put_twice_into_one_list():
    texts = ["It opens in April, June and October.", "We met in August.", "They met in August."]
    threads = [ask(i, "When?", text) for i, text in enumerate(texts)]
    for seed in range(10):
        for pair in truthfulness.build(threads, Random(seed), TruthfulnessConfig(errors=3)):
            assert pair.rejected.count("August") <= 1


def test_what_the_question_names_stays():
    texts = ("He went to Norway.", "Ask in Peru.")
    assert exchanged(*texts, question="Who went to Peru?") == {}
    assert len(exchanged(*texts)) == 2


def test_a_fact_is_told_wrong_throughout():
    text = "France is big. I love France."
    assert exchanged(text, "Go to Spain.", errors=1)[text] == ("entity", "Spain is big. I love Spain.")


@pytest.mark.parametrize("code", ["`n = 12`", "https://x.org/12/y", "$x = 12$", "\\(12 x\\)", "<b 12>", "[a](b 12)"])
def test_code_addresses_and_formulas_stay(code):
    found = exchanged(f"See {code} for 12 eggs.", "It has 37 moons.")
    assert found[f"See {code} for 12 eggs."][1] in (f"See {code} for 37 eggs.",)


def test_one_negation_is_turned_and_no_more():
    """Before, all of them were, and two could cancel out."""
    text = "It is a star. She was a nurse. You can see it. They are the best."
    other = "That is not a bar. He was not a cook. Now you cannot see it. These are not the worst."
    assert len(places(text)) > 1
    for seed in range(9):
        for pair in truthfulness.build([ask(0, "Why?", text), ask(1, "Why?", other)], Random(seed)):
            assert len(pair.provenance["changed"]) == 1


def test_answers_with_code_and_tales_make_no_pair():
    texts = ("It has 12 moons:\n\n```\nmoons = 12\n```\n", "It has 37 suns.", "It has 58 stars.")
    assert set(exchanged(*texts)) == set(texts[1:])
    assert exchanged(*texts, question="Write a story of the stars") == {}


def test_a_sentence_with_because_is_turned_round():
    text = "So. The pump stopped there because the valve was stuck. It is so."
    assert turn_clauses(text) == "So. The valve was stuck because the pump stopped there. It is so."
    assert exchanged(text) == {text: ("clauses", turn_clauses(text))}
    for other in ("The pump stopped there because it was stuck.", "The pump has stopped, because the valve was stuck."):
        assert turn_clauses(other) == other


def test_the_best_answer_is_made_wrong_and_what_was_done_is_told():
    best, other = Answer("It has 12 moons.", votes=5, accepted=True), Answer("It has 99 moons.", votes=9)
    threads = [ask(0, "How many?", other, best), ask(1, "Who?", "Some 37 men.")]
    first, second = truthfulness.build(threads, Random(0))
    assert first.chosen == best.text
    assert first.provenance == {"recipe": "number", "changed": [["12", "37"]]}
    assert second.provenance == {"recipe": "number", "changed": [["37", "12"]]}


@settings(deadline=None)
@given(seed=st.integers(0, 99), errors=st.integers(1, 4), count=st.integers(0, 4))
def test_a_thread_gives_errors_and_pairs_up_to_the_limits(seed, errors, count):
    found = list(truthfulness.build(library(12), Random(seed), TruthfulnessConfig(errors, count)))
    for pair in found:
        assert 1 <= len(pair.provenance["changed"]) <= errors
    for made in Counter(pair.thread_id for pair in found).values():
        assert made <= count
    recipes = Counter((pair.thread_id, pair.provenance["recipe"]) for pair in found)
    assert set(recipes.values()) <= {1}
    assert bool(found) == bool(count)


PIECES = (
    "is was not can't can 7 12 36 12.5 1,000 2029 1915 Paris Rome a an French Ann Lee John Smith from [1] 2. more less "
    "than always never due to causing because so hours 3 days ``` `x 12` https://x.org/12 $12$ Iron copper"
)
pieces = st.sampled_from(PIECES.split(" "))
noisy = st.lists(pieces | st.text(max_size=4), max_size=25).map(" ".join) | st.text(max_size=40)


@settings(deadline=None)
@given(texts=st.lists(noisy, max_size=8), errors=st.integers(1, 5), seed=st.integers(0, 99))
@example(texts=["It has " + "9" * 5000 + " moons.", "It has " + "8" * 5000 + " moons."], errors=3, seed=0)
@example(texts=["It has \u0663\u0663 moons \ud800 12.", "It has \u0664\u0664 moons and 36"], errors=3, seed=0)
def test_what_goes_in_is_what_comes_out(texts, errors, seed):
    threads = [ask(i, "Why?", text) for i, text in enumerate(texts)]
    config = TruthfulnessConfig(errors, pairs_per_thread=2)
    found = list(truthfulness.build(threads, Random(seed), config))
    assert found == list(truthfulness.build(threads, Random(seed), config))
    out: Counter[str] = Counter()
    for pair in found:
        assert pair.chosen != pair.rejected
        assert pair.provenance["recipe"] in (*KINDS, "clauses")
        kept = Counter(PROTECTED.findall(pair.chosen))
        assert kept <= Counter(PROTECTED.findall(pair.rejected)) or all(k in pair.rejected for k in kept)
        for old, new in pair.provenance["changed"]:
            out[old] += 1
            out[new] -= 1
    assert set(out.values()) <= {0}


@settings(max_examples=30, deadline=None)
@given(threads=any_threads)
def test_places_are_where_they_say_that_they_are(threads):
    for thread in threads:
        for text in [answer.text for answer in thread.answers]:
            for place in places(text, thread.question):
                assert all(text[start:end].lower() == place.word.lower() for start, end in place.spans)
                assert put(
                    text, {span: text[slice(*span)] for span in place.spans}
                ).split() == text.split() or re.search(r"\b[Aa]n? ", text)


def test_each_word_of_the_lexicon_is_found_again():
    for kind, words in TYPES.items():
        assert len(set(words)) == len(words) > 1, kind
    assert all(one != other for one, other in OPPOSITES)
    for forth, back in CAUSES:
        assert not set(forth) & set(back)


SCRIPT = """
from random import Random
from axioms import thoroughness, truthfulness
from tests.threads import library
for axiom in (truthfulness, thoroughness):
    for pair in axiom.build(library(12), Random(1)):
        print(pair.to_dict())
"""


def test_pairs_do_not_depend_on_the_order_of_sets():
    def printed(hash_seed):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True).stdout

    assert printed("1") == printed("2") != b""
