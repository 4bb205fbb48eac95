"""Truthfulness: what may be made wrong, and what is left as it is."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from axioms import truthfulness
from axioms.truthfulness import TruthfulnessConfig, corrupt
from prefmodel.types import Answer
from tests.threads import ask, library

SEEDS = range(40)


def corruptions(text, passages=(), errors=1):
    """Return what a text becomes under many seeds, with the kinds of errors."""
    return {(wrong, tuple(kinds)) for wrong, kinds in (corrupt(text, Random(s), errors, passages) for s in SEEDS)}


@pytest.mark.parametrize(
    ("text", "kind", "pattern"),
    [
        ("It has 12 moons.", "number", r"It has \d+ moons\."),
        ("It costs 1,250 pesos.", "number", r"It costs [\d,]{3,5} pesos\."),
        ("Pi times 0.25 it is", "number", r"Pi times \d\.\d\d it is"),
        ("It has twelve moons.", "number", r"It has [a-z]+ moons\."),
        ("It has a million moons.", "number", r"It has a (thousand|billion|trillion) moons\."),
        ("It opened in 1815.", "date", r"It opened in (17[789]|18[0-5])\d\."),
        ("It opened on 7 August.", "date", r"It opened on (7 [A-Z][a-z]+|([12]?\d) August)\."),
        ("It opened on a Sunday.", "date", r"It opened on a [A-Z][a-z]+day\."),
        ("Wait a few hours.", "unit", r"Wait a few [a-z]+s\."),
        ("A box weighs some kg", "unit", r"A box weighs some [A-Za-z]+"),
        ("He went to Norway.", "entity", r"He went to [A-Z][a-z]+\."),
        ("He lives near New Mexico.", "entity", r"He lives near [A-Z][A-Za-z ]+\."),
        ("Take a red one.", "entity", r"Take an? [a-z]+ one\."),
        ("It always works.", "opposite", r"It never works\."),
        ("It is the largest.", "opposite", r"It is the smallest\."),
        ("Wine: cheaper", "opposite", r"Wine: more expensive"),
        ("It is a star.", "negation", r"It is not a star\."),
        ("It is not a star.", "negation", r"It is a star\."),
        ("It can fly.", "negation", r"It cannot fly\."),
        ("It has been sold.", "negation", r"It has not been sold\."),
        ("They weren't there.", "negation", r"They were there\."),
        ("He was met by Ann Miller and by John Smith.", "name", r"He was met by (John|Ann) \w+ and by \1 \w+\."),
    ],
)
def test_each_kind_of_error(text, kind, pattern):
    found = {wrong for wrong, kinds in corruptions(text) if kinds == (kind,)}
    assert found
    for wrong in found:
        assert wrong != text
        assert re.fullmatch(pattern, wrong), wrong


def test_names_are_taken_from_the_passages():
    text = "A tale by Ann Miller."
    assert corruptions(text) == {(text, ())}
    wrong = {("A tale by John Smith.", ("name",))}
    assert corruptions(text, ["A book by John Smith, made in Old Town, by Paul, by Ann Lee."]) == wrong


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Nothing here that one may change",
        "1. Boil it\n2. Stir it\n 13) Drink it",
        "So they say [1], and others too [23].",
        "See section-4, v2.0.1, x7 and 3/4 of them; at 10:30 too",
        "to be or not to be",
        "He might be no fool",
        "That is nothing new",
    ],
)
def test_what_is_no_claim_stays(text):
    assert corruptions(text, errors=9) == {(text, ())}


def test_list_marks_and_citations_stay_beside_a_number_that_does_not():
    for wrong, kinds in corruptions("1. Boil 3 eggs [2]\n2. Peel them"):
        assert kinds == ("number",)
        assert re.fullmatch(r"1\. Boil [12456] eggs \[2\]\n2\. Peel them", wrong)


def test_answers_with_code_make_no_pair():
    code = "It has 12 moons:\n\n```\nmoons = 12\n```\n"
    threads = [ask(0, "How many?", code), ask(1, "How many?", code.replace("```", ""))]
    assert [pair.thread_id for pair in truthfulness.build(threads, Random(0))] == ["demo/1"]


def test_the_article_of_a_nationality_goes_with_it_and_others_stay():
    found = {wrong for wrong, _ in corruptions("A Austrian knows a Austrian recipe", errors=1)}
    assert len(found) > 10
    for wrong in found:
        changed = [part for part in wrong.split(" knows ") if part not in ("A Austrian", "a Austrian recipe")]
        assert len(changed) == 1
        assert re.match(r"[Aa]( [B-DF-HJ-NP-Z]|n [AEI])", changed[0]), wrong


@given(
    before=st.text("bdflprst \n", max_size=30),
    after=st.text("bdflprst \n", max_size=30),
    fact=st.sampled_from(["was in 1815", "is from Spain", "more than 3 days", "by Ann Lee, by Bob Ray", "is a French"]),
    seed=st.integers(0, 99),
)
def test_what_stands_around_the_errors_is_unchanged(before, after, fact, seed):
    wrong, kinds = corrupt(f"{before} {fact} by {after}", Random(seed), 2)
    assert kinds
    assert wrong.startswith(before + " ")
    assert wrong.endswith(" by " + after)


PIECES = "is was not can 7 12.5 1,000 2029 May 3 Paris a an French by Ann from Bob [1] 2. more ```"
pieces = st.sampled_from(PIECES.split(" "))
noisy = st.text(max_size=40) | st.lists(pieces | st.text(max_size=4), max_size=20).map(" ".join)


@given(text=noisy, passages=st.lists(noisy, max_size=2), errors=st.integers(1, 5), seed=st.integers(0, 99))
@example(text="It has " + "9" * 5000 + " moons.", passages=[], errors=3, seed=0)  # longer than int reads
@example(text="It has " + "9" * 400 + " moons.", passages=[], errors=3, seed=0)  # longer than floats hold
@example(text="In 2029 it was", passages=[], errors=1, seed=0)
@example(text="It has \u0663 moons and \u00b2 suns \ud800.", passages=[], errors=3, seed=0)
def test_any_text_becomes_wrong_or_stays_whole(text, passages, errors, seed):
    wrong, kinds = corrupt(text, Random(seed), errors, passages)
    assert (wrong, kinds) == corrupt(text, Random(seed), errors, passages)
    assert len(kinds) <= errors
    assert (wrong == text) == (not kinds)
    assert kinds == sorted(kinds)
    assert set(kinds) <= {"number", "date", "unit", "entity", "name", "negation", "opposite"}


def test_every_year_moves():
    for year in (1000, 1999, 2024, 2028, 2029, 2100):
        years = {int(re.search(r"\d+", wrong)[0]) for wrong, _ in corruptions(f"In {year}")}
        assert year not in years
        assert max(years) <= 2029
        assert min(years) >= min(year, 2029) - 41


def test_the_best_answer_is_made_wrong_and_what_was_done_is_told():
    best, other = Answer("It has 12 moons in May.", votes=5), Answer("It has 99 moons.", votes=9)
    thread = ask(0, "How many?", other, Answer(best.text, votes=5, accepted=True))
    for seed in SEEDS:
        (pair,) = truthfulness.build([thread], Random(seed), TruthfulnessConfig(errors=2))
        assert pair.chosen == best.text
        assert 1 <= len(pair.provenance["errors"]) <= 2
        changed = (re.search(r"\d+", pair.rejected)[0] != "12") + ("in May" not in pair.rejected)
        assert changed == len(pair.provenance["errors"])


def test_a_thread_gives_as_many_different_errors_as_asked():
    (thread,) = library(1)
    found = list(truthfulness.build([thread], Random(0), TruthfulnessConfig(pairs_per_thread=4)))
    assert len({pair.rejected for pair in found}) == len(found) == 4
    few = ask(0, "Where?", "It always works.")
    assert len(list(truthfulness.build([few], Random(0), TruthfulnessConfig(pairs_per_thread=4)))) == 1


@pytest.mark.parametrize("text", ["Run `cut -f 3`.", "See https://example.org/is/12/x.", "It is $3 > 2$ there."])
def test_code_addresses_and_formulas_stay(text):
    kept = re.search(r"`.*`|https?://\S+|\$.*\$", text).group()
    for seed in range(20):
        assert kept in corrupt(text + " It was built in 1900.", Random(seed))[0]


def test_negations_may_be_kept_out_but_taken_away():
    assert corrupt("It is good.", Random(0), negate=False) == ("It is good.", [])
    assert corrupt("It is not good.", Random(0), negate=False) == ("It is good.", ["negation"])
    assert corrupt("It is good.", Random(0)) == ("It is not good.", ["negation"])


def test_a_part_of_a_longer_name_stays():
    assert all("New England" in corrupt("She left New England in May 1900.", Random(seed))[0] for seed in range(20))
