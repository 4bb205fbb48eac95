"""Verified: what an answer comes to, and right answers against wrong ones."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axioms import verified
from axioms.verified import VerifiedConfig, final_value, same
from prefmodel.types import Answer
from tests.threads import any_threads, ask


def checked(reference, *others, seed=0, **config):
    """Return the chosen and the rejected sides for a reference and other answers."""
    answers = [*map(Answer, others), Answer(reference, accepted=True)]
    found = verified.build([ask(0, "How many?", *answers)], Random(seed), VerifiedConfig(**config))
    return [(pair.chosen, pair.rejected) for pair in found]


@pytest.mark.parametrize(
    ("text", "number", "unit"),
    [
        ("6 * 7 = 42\n#### 42", 42, ""),
        ("#### 1,250", 1250, ""),
        ("#### -3", -3, ""),
        ("So \\boxed{42}.", 42, ""),
        ("So $\\boxed{\\frac{3}{4}}$ it is, of 9.", Fraction(3, 4), ""),
        ("The answer is 42.", 42, ""),
        ("The answer is $1,250.50.", Fraction(2501, 2), "$"),
        ("The final answer is: **7** apples, not 9", 7, ""),
        ("Answer: 3/4", Fraction(3, 4), ""),
        ("Answer: 1 3/4 cups", Fraction(7, 4), "cup"),
        ("The answer is .5", Fraction(1, 2), ""),
        ("42", 42, ""),
        ("12 km", 12, "km"),
        ("The answer is 5. No, the answer is 6.", 6, ""),
        ("He has 4 eggs and sells 3 of them, so 1 is left over", 1, "i"),
    ],
)
def test_the_final_number(text, number, unit):
    value = final_value(text)
    assert value.number == number
    assert unit in value.unit


@pytest.mark.parametrize(
    ("text", "choice"),
    [("The answer is (B).", "B"), ("Answer: c) Paris", "C"), ("B", "B"), ("#### Yes", "yes"), ("\\boxed{D}", "D")],
)
def test_the_final_choice(text, choice):
    assert final_value(text).choice == choice


def test_what_has_no_value():
    for text in (
        "",
        "Nobody knows that at all.",
        "#### none",
        "The answer is A good one",
        "The answer is 1/0",
        "The answer is not 5",
        "The answer is in one of these 5 books",
    ):
        assert final_value(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 6 * 7 = 42.", 42),
        ("The answer is 5 - 3 = 2", 2),
        ("The answer is: 6 + 7 = **13**, as I said", 13),
        ("The answer is x = 5", 5),
        ("The answer is 6 \\times 7 = 42", 42),
        ("The answer is 42, since 6 * 7 = 42.", 42),
        ("The answer is 42. I added 6 to 36.", 42),
        ("\\boxed{45^\\circ}", 45),
        ("\\boxed{5\\text{ km}}", 5),
    ],
)
def test_of_an_equation_the_last_side_counts(text, number):
    assert final_value(text).number == number


@pytest.mark.parametrize(
    "said",
    [
        *("3 x 10^8", "10^3", "2**3", "2 ** 3", "5e3", "5²", "5!", "2\\sqrt{3}", "sqrt(2)", "x - 5", "6 * 7"),
        *("$1.5 million", "2 thousand", "$5k", "$5 m", "1.000.000", "1 000", "12:30", "3:2", "2024-05-06", "3, 4"),
        *("5 or 7", "5 km or 7 km", "5-7", "between 3 and 5", "3 to 5", "at least 5", "x >= 5", "20% of 50", "minus 5"),
        *("x = 5 or x = 7", "2 hours 30 minutes", "3x"),
    ],
)
def test_a_number_that_is_part_of_something_else_is_no_value(said):
    for text in (f"The answer is {said}", f"#### {said}", f"\\boxed{{{said}}}"):
        assert final_value(text) is None


def test_what_is_written_in_another_form_is_not_known_to_be_wrong():
    assert checked("#### 1,500,000", "It costs $1.5 million, said all 7.", "The answer is $1.5 million.") == []
    others = ("So that is 6 * 7.", "The answer is 41 or 42.", "So it is somewhere from 41 to 43.", "I get 4.2 x 10^1")
    assert checked("#### 42", *others) == []


def test_the_last_number_is_not_said_to_be_the_end():
    assert not final_value("He has 4 eggs and sells 3 of all the eggs.").said
    assert final_value("It is 3. #### 4").said
    assert not final_value("Some say\n#### 4 ways\nThe answer is 5\nbut all of the others say that it is 6").said
    assert not final_value("All 7 of us know the answer.\nIt is so.").said


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("42", "42.0", True),
        ("1,000", "1000", True),
        ("1/3", "0.33", True),
        ("1/3", "0.3", False),
        ("50%", "0.5", True),
        ("50%", "50", True),
        ("50%", "5", False),
        ("5 apples", "5", True),
        ("5 apples", "6 apples", False),
        ("5 km", "5000 m", None),
        ("-5", "5", False),
        ("B", "B", True),
        ("B", "C", False),
        ("B", "2", None),
        ("Yes", "No", False),
        ("Yes", "True", None),
    ],
)
def test_values_that_are_the_same(one, other, equal):
    first, second = final_value(f"#### {one}"), final_value(f"#### {other}")
    assert same(first, second) is equal
    assert same(second, first) is equal


# Numbers of more than 40 digits are no results, by design.
FRACTIONS = st.fractions(max_denominator=50).filter(lambda value: len(str(value)) <= 40)


@given(FRACTIONS, FRACTIONS)
def test_fractions_are_compared_exactly(one, other):
    assert same(final_value(f"#### {one}"), final_value(f"\\boxed{{{other}}}")) is (one == other)


@given(
    st.integers(-(10**9), 10**9), st.sampled_from(["#### {}", "\\boxed{{{}}}", "The answer is {}.", "{:,}", "{}.00"])
)
def test_a_number_is_read_in_every_form(number, form):
    assert final_value(form.format(number)).number == number


def test_right_answers_win_over_wrong_ones():
    right, wrong = "So it is 42.", "I think that the answer is 13."
    assert checked("#### 42", right, wrong) == [(right, wrong)]
    assert checked("#### 42", wrong) == [("#### 42", wrong)]  # the reference is the fallback
    assert checked("#### 42", right) == []


def test_what_is_not_known_to_be_wrong_makes_no_pair():
    assert checked("So there are 42 of them in all.", "The answer is 13.") == []  # the reference says no end
    assert checked("#### 42", "Nobody knows.") == []
    assert checked("#### 42 km", "The answer is 26 miles") == []
    assert checked("#### 42", "It is 42, as all 7 said.") == []  # the last number is not its end
    assert checked("#### 42", "It is 41, as all 7 said.") != []
    answers = [Answer("#### 42"), Answer("#### 13")]
    assert list(verified.build([ask(0, "How many?", *answers)], Random(0))) == []  # no accepted answer


def test_recipe_principle_and_limit():
    wrong = [f"The answer is {i}." for i in range(9)]
    assert len(checked("#### 42", "42", *wrong)) == 3
    assert len(checked("#### 42", "42", *wrong, pairs_per_thread=5)) == 5
    threads = [ask(0, "?", Answer("#### 42", accepted=True), Answer("42"), Answer("13"))]
    (pair,) = verified.build(threads, Random(0))
    assert (pair.provenance, pair.principle) == ({"recipe": "answer"}, "truthfulness")
    (pair,) = verified.build([ask(0, "?", Answer("#### 42", accepted=True), Answer("13"))], Random(0))
    assert pair.provenance == {"recipe": "reference"}


@given(any_threads, st.integers(0, 9))
def test_any_thread(threads, seed):
    for pair in verified.build(threads, Random(seed)):
        assert same(final_value(pair.chosen), final_value(pair.rejected)) is not True


@given(st.text(max_size=60) | st.text("0123456789/.,%$\\{}#b oxed-", max_size=40))
def test_any_text_has_a_value_or_none(text):
    for form in (text, f"#### {text}", f"\\boxed{{{text}}}", f"The answer is {text}"):
        value = final_value(form)
        assert value is None or same(value, value)
