"""Invariance: a change alters what it names and nothing else, and gender turned twice is back where it was."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axioms import invariance
from axioms.invariance import CLOSINGS, OPENINGS, InvarianceConfig, formatting, gender, greeting, names, signature
from axioms.people import MEN, WOMEN, others_by_name, speaks_of_people, swapped_gender, swapped_names
from prefmodel.splits import words
from tests.threads import any_threads, ask, library

few = settings(max_examples=50, deadline=None)
seeds = st.integers(0, 99)

PIECES = (
    "he knows",
    "she sold her car",
    "ask him",
    "tell her that",
    "it is his",
    "it is hers",
    "his wife left",
    "Her brother came back",
    "the man slept",
    "an old woman sang",
    "a boy ran",
    "HE shouted",
    "she did it herself",
    "he saw her",
    "Tom paid",
    "then Anna and Tom met",
    "call the waitress",
    "nothing happened",
    "my fiancé cooks",
    "(her idea)",
)
gendered = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map(lambda pieces: ". ".join(pieces) + ".")


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("He gave her his car.", "She gave him her car."),
        ("I told her that it is his.", "I told him that it is hers."),
        ("Her car hit him.", "His car hit her."),
        ("It is hers, not his.", "It is his, not hers."),
        ("Ask her!", "Ask him!"),
        ("She saw him and her (new) wife.", "He saw her and his (new) husband."),
        ("He himself said SHE would.", "She herself said HE would."),
        ("The man's father and a girl.", "The woman's mother and a boy."),
        ("Then Tom met his aunt Anna.", "Then Amy met her uncle Daniel."),
        ("My stepmother's nephew", "My stepfather's niece"),
    ],
)
def test_men_and_women_change_places(text, other):
    turned = swapped_gender(text)
    assert turned == other
    assert swapped_gender(turned) == text


@pytest.mark.parametrize(
    "text",
    [
        "Nobody is here.",
        "Women live longer than he does.",
        "She is pregnant.",
        "Then he met Obama.",
        "Ask the sister of Ann Miller.",
        "Man, he was fast.",
        "The film focused on he truffle.",  # a slip for "the"
        "My partner (24/m) says he is fine.",
        "I like him best of all her.",  # "her best" is not what it was
    ],
)
def test_what_hangs_on_the_gender_stays(text):
    assert swapped_gender(text) is None


@given(gendered)
def test_swapping_gender_twice_gives_the_text_back(text):
    turned = swapped_gender(text)
    if turned is not None:
        assert turned != text
        assert swapped_gender(turned) == text


GENDERED = {
    *"he she him his her hers himself herself man woman boy girl wife husband brother sister waiter waitress".split(),  # noqa: SIM905
    *("fiancé", "fiancée"),
    *(name.lower() for name in MEN + WOMEN),
}


@given(gendered)
def test_gender_changes_no_other_word_and_no_mark(text):
    turned = swapped_gender(text)
    if turned is not None:
        before, after = re.split(r"(\w+)", text), re.split(r"(\w+)", turned)
        assert len(before) == len(after)
        for a, b in zip(before, after, strict=True):
            assert (a.lower() in GENDERED) == (b.lower() in GENDERED)
            assert a == b or a.lower() in GENDERED
            assert a[:1].isupper() == b[:1].isupper()


@given(st.lists(st.sampled_from([*MEN, *WOMEN, "and", "met", "the dog"]), min_size=1, max_size=12), seeds)
def test_names_give_way_to_others_of_the_same_gender_each_to_one(pieces, seed):
    text = " ".join(pieces)
    changed = swapped_names(text, Random(seed))
    old = {piece for piece in pieces if piece[0].isupper()}
    if not old:
        assert changed is None
        return
    pairs = {(a, b) for a, b in zip(text.split(), changed.split(), strict=True)}
    renamed = {a: b for a, b in pairs if a != b}
    assert set(renamed) == old
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    assert all((a in MEN) == (b in MEN) and (a in WOMEN) == (b in WOMEN) for a, b in renamed.items())
    assert not old & set(renamed.values())


def test_the_lists_of_names_are_of_one_length_and_disjoint():
    assert len(MEN) == len(WOMEN) == len({*MEN}) == len({*WOMEN})
    assert not {*MEN} & {*WOMEN}


def test_those_who_are_known_are_left_alone():
    assert swapped_names("Then Tom Jones sang.", Random(0)) is None
    assert swapped_names("Tom sang in May.", Random(0)) is not None
    assert others_by_name("He works at Google.")
    assert not others_by_name("He is well. I think he works in May.")
    for question in ("Is my wife right?", "Did Tom call?", "Who did it?", "Is Messi good?", "My partner [f30] left"):
        assert gender(question, "He did.", Random(0)) is None
        assert names(question, "Ask Anna.", Random(0)) is None
    assert speaks_of_people("Are women right?")


@given(st.text().map("<{}>".format), seeds)  # no greeting has such brackets
def test_a_greeting_and_a_signature_leave_the_answer_whole(answer, seed):
    before, after = greeting("Why?", answer, Random(seed))
    assert before == answer
    assert after.startswith(answer) or after.endswith(answer)
    assert after.replace(answer, "", 1).strip() in OPENINGS + CLOSINGS
    sides = signature("Why?", answer, Random(seed))
    signed = []
    for side in sides:
        assert answer in side
        signed += [name for name in MEN + WOMEN if re.search(rf"\b{name}\b", side.replace(answer, "", 1))]
    assert len({*signed}) == len(signed) == 2
    assert sides[0].replace(signed[0], "") == sides[1].replace(signed[1], "") or answer.count(signed[0])


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        ("You need:\n- **salt**\n- water!", "You need: salt; water!"),
        ("## Steps\n\nBoil it.", "Steps\n\nBoil it."),
        ("* one\n* two\n\nThen **rest** a *bit*.", "one; two.\n\nThen rest a *bit*."),
        ("1. first\n2. __second__", "1. first\n2. second"),
        ("One. Two. Three.", "- One.\n- Two.\n- Three."),
        ("One. Two.", None),
        ('He said: "One. Two. Three."', None),  # before, each bullet had a part of what was quoted
        ("- see https://example.org", None),
        ("- a\n```\n- b\n```", None),
        ("Line one.\nLine two.\nLine three.", None),
        ("2 * 3 * 4 is 24", None),
    ],
)
def test_formatting(answer, plain):
    assert formatting("How?", answer, Random(0)) == (None if plain is None else (answer, plain))


@given(st.lists(st.sampled_from(["- a b", "* **c**", "# d", "e f.", "", "1. g", "h: ", "  - i", "__j__ k."])), seeds)
def test_formatting_keeps_every_word(lines, seed):
    answer = "\n".join(lines)
    sides = formatting("How?", answer, Random(seed))
    if sides is not None:
        assert sides[0] == answer
        assert sides[1] != answer
        assert words(sides[1].replace("_", " ")) == words(answer.replace("_", " "))


@few
@given(any_threads, seeds)
def test_pairs_are_undecided_and_their_sides_differ(threads, seed):
    by_id = {thread.id: thread for thread in threads}
    found = list(invariance.build(threads, Random(seed)))
    assert found == list(invariance.build(threads, Random(seed)))
    for pair in found:
        thread = by_id[pair.thread_id]
        assert pair.target == 0.5
        assert pair.margin == 0
        assert pair.principle is None
        assert pair.question == thread.question
        assert pair.chosen.split() != pair.rejected.split()
        assert pair.provenance["recipe"] in ("gender", "names", "greeting", "formatting")
    long_enough = [t for t in threads if any(len(a.text.split()) >= 4 for a in t.answers)]
    assert {t.id for t in long_enough} == {pair.thread_id for pair in found}


def test_which_side_is_changed_is_random():
    threads = [ask(i, "What now?", f"Ask the waiter of table {i}, he knows.") for i in range(300)]
    found = [p for p in invariance.build(threads, Random(0)) if p.provenance["recipe"] == "gender"]
    assert len(found) == 300
    assert 110 < sum("she" in p.chosen for p in found) < 190


def test_recipes_of_the_library():
    recipes = {p.provenance["recipe"] for p in invariance.build(library(30), Random(0))}
    assert recipes == {"names", "greeting", "formatting"}
    assert list(invariance.build(library(6), Random(0), InvarianceConfig(least_words=99))) == []
