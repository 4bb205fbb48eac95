"""What all axioms have in common, and how their pairs are gathered."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from axioms.build import DUPLICATE, EQUAL, OVER_CAP, OVER_LIMIT, Counts, build_pairs, by_split, read_sources
from axioms.build import exclusions as excluding
from axioms.registry import AXIOMS, LABELS, NAMES, about
from prefmodel.errors import FileFormatError, InputError
from prefmodel.files import read_pairs, write_pairs, write_rows, write_threads
from prefmodel.overlap import Exclusions
from prefmodel.splits import SPLITS, split_of
from prefmodel.types import PRINCIPLES, Answer, PreferencePair
from tests.threads import any_threads, ask, library, question

DATA = Path(__file__).parents[2] / "shared" / "data"
each_axiom = pytest.mark.parametrize("name", AXIOMS)
DETERMINED = ("usefulness", "strength", "verified", "thoroughness")
"""Axioms that draw nothing at random."""


def label(question: str, number: int = 0) -> PreferencePair:
    return PreferencePair(question, f"Because of {number}.", f"No idea of {number}.", axiom="human", source="demo")


LABELLED = [label(question(i), i) for i in range(100, 140)]


@pytest.mark.parametrize("name", [name for name in AXIOMS if name != "verified"])  # the library has no references
def test_the_library_gives_pairs_of_every_axiom(name):
    assert len(list(AXIOMS[name](library(), Random(0)))) >= 6


@each_axiom
@settings(max_examples=40, deadline=None)
@given(threads=any_threads, seed=st.integers(0, 3))
def test_pairs_say_what_they_are_whatever_the_threads(name, threads, seed):
    by_id = {thread.id: thread for thread in threads}
    for pair in build_pairs(threads, [], [name], seed):
        thread = by_id[pair.thread_id]
        assert (pair.question, pair.source) == (thread.question, thread.source)
        assert (pair.axiom, pair.principle) == (name, about(name)[0])
        assert pair.chosen.split() != pair.rejected.split()


@each_axiom
@settings(max_examples=20, deadline=None)
@given(threads=any_threads, seed=st.integers(0, 3))
def test_a_seed_gives_the_same_pairs_again(name, threads, seed):
    assert list(AXIOMS[name](threads, Random(seed))) == list(AXIOMS[name](threads, Random(seed)))


@pytest.mark.parametrize("name", [name for name in AXIOMS if name not in DETERMINED])
def test_another_seed_gives_other_pairs(name):
    found = [list(AXIOMS[name](library(12), Random(seed))) for seed in range(3)]
    assert found[0] != found[1] or found[1] != found[2]


@each_axiom
def test_nothing_gives_nothing(name):
    for threads in ([], [ask(0, "Why?")], [ask(0, "", ""), ask(1, "", "")], [ask(0, "?!", "..."), ask(1, "Why?", "!")]):
        assert list(build_pairs(threads, [], [name])) == []


def test_every_axiom_tells_its_principle_and_what_it_says():
    assert (*AXIOMS, *LABELS) == NAMES
    for name in NAMES:
        principle, text = about(name)
        assert principle is None or principle in PRINCIPLES
        assert text == inspect.getmodule(AXIOMS.get(name) or LABELS[name]).__doc__.splitlines()[0]
    assert {about(name)[0] for name in AXIOMS} == {*PRINCIPLES, None}
    with pytest.raises(InputError, match="axiom is 'praise'; allowed: usefulness, "):
        about("praise")


def test_an_axiom_does_not_change_the_pairs_of_another():
    together = list(build_pairs(library(), LABELLED, seed=5))
    for name in NAMES:
        assert list(build_pairs(library(), LABELLED, [name], 5)) == [pair for pair in together if pair.axiom == name]
    backwards = build_pairs(library(), LABELLED, NAMES[::-1], 5)
    assert {repr(pair) for pair in backwards} == {repr(pair) for pair in together}


def test_an_unknown_axiom():
    with pytest.raises(InputError, match="axiom is 'praise'; allowed: usefulness, "):
        list(build_pairs([], [], ["praise"]))


def test_excluded_questions_and_near_duplicates_do_not_appear():
    threads = library()
    exclude = [f"Tell me: {question(0)}", question(3).upper(), question(102)]
    counts = Counts()
    asked = {pair.question for pair in build_pairs(threads, LABELLED, exclude=Exclusions(exclude), counts=counts)}
    everything = list(build_pairs(threads, LABELLED))
    assert {pair.question for pair in everything} - asked == {question(0), question(3), question(102)}
    assert counts.built.total() + counts.excluded.total() == len(everything)
    assert (counts.excluded["relevance"], counts.excluded["human"]) == (2, 1)


def test_limits_are_drawn_at_random_from_what_is_kept():
    whole = {name: list(build_pairs(library(), LABELLED, [name])) for name in NAMES}
    counts, limits = Counts(), {"relevance": 3, "human": 2}
    exclude = Exclusions([question(0)])
    few = list(build_pairs(library(), LABELLED, limits=limits, exclude=exclude, counts=counts))
    assert (counts.built["relevance"], counts.built["human"]) == (3, 2)
    assert counts.left_out[OVER_LIMIT]["human"] == len(LABELLED) - 2
    for pair in few:
        assert pair in whole[pair.axiom]
        assert pair.question != question(0)
    firsts = {next(build_pairs(library(), [], ["relevance"], s, limits={"relevance": 1})).thread_id for s in range(20)}
    assert len(firsts) > 2
    assert list(build_pairs(library(), [], ["relevance"], limits={"relevance": 0})) == []


def test_a_pair_is_kept_once_and_a_question_has_few():
    twice = [*LABELLED, *LABELLED[:3], replace(LABELLED[5], chosen=LABELLED[5].chosen.upper() + " ")]
    counts = Counts()
    assert len(list(build_pairs([], twice, ["human"], counts=counts))) == len(LABELLED)
    assert counts.left_out[DUPLICATE] == {"human": 4}
    many = [label("Why?" + "?" * (i % 2), i) for i in range(7)] + LABELLED
    counts = Counts()
    found = list(build_pairs([], many, ["human"], counts=counts, per_question=3))
    assert sum(pair.question.startswith("Why?") for pair in found) == 3
    assert counts.left_out[OVER_CAP] == {"human": 4}
    kept = {pair.chosen for s in range(10) for pair in build_pairs([], many, ["human"], s, per_question=1)}
    assert len({chosen for chosen in kept if chosen in {pair.chosen for pair in many[:7]}}) > 2  # drawn, not the first


def test_sides_that_are_equal_up_to_spaces_are_counted_and_left_out():
    models = (Answer("In a  dark tin.", "model", model="gpt-4"), Answer("In a dark tin.\n", "model", model="llama-13b"))
    counts = Counts()
    assert list(build_pairs([ask(0, "How to keep coffee?", *models)], [], ["strength"], counts=counts)) == []
    assert counts.left_out[EQUAL] == {"strength": 1}


def test_a_split_keeps_its_questions_only():
    parts = {split: list(build_pairs(library(40), LABELLED, split=split)) for split in SPLITS}
    assert parts == by_split(build_pairs(library(40), LABELLED))
    assert all(split_of(pair.question) == split for split, part in parts.items() for pair in part)
    assert all(parts.values())
    counts = Counts()
    few = list(build_pairs(library(40), [], ["relevance"], limits={"relevance": 2}, split="dev", counts=counts))
    assert [split_of(pair.question) for pair in few] == ["dev"] * len(few)
    assert len(few) == counts.built["relevance"] == min(2, sum(p.axiom == "relevance" for p in parts["dev"]))


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_files_of_threads_and_of_labels_are_told_apart(tmp_path, suffix):
    write_threads(tmp_path / f"a{suffix}", library())
    write_pairs(tmp_path / f"b{suffix}", LABELLED)
    write_rows(tmp_path / "empty.jsonl", [])
    threads, labels = read_sources([tmp_path / f"b{suffix}", tmp_path / f"a{suffix}", tmp_path / "empty.jsonl"])
    assert (threads, labels) == (library(), LABELLED)


def test_a_file_of_something_else(tmp_path):
    write_rows(tmp_path / "x.jsonl", [{"question": "Why?", "answer": "So."}])
    with pytest.raises(FileFormatError, match=r"x.jsonl, line 1: answer is not a field; allowed: id, "):
        read_sources([tmp_path / "x.jsonl"])


@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder is not beside the repository")
def test_real_threads():
    names = ("clapnq", "stackexchange-beer")
    threads, labels = read_sources(DATA / "threads" / f"{name}.jsonl.gz" for name in names)
    evaluated = [pair for path in sorted((DATA / "eval").glob("*.jsonl.gz")) for pair in read_pairs(path)]
    asked = [pair.question for pair in evaluated]
    counts = Counts()
    pairs = list(build_pairs(threads, labels, exclude=excluding([], evaluated, near=True), counts=counts, near=True))
    assert len(asked) > 5000
    # No models, no references, no labels.
    assert {name for name in NAMES if counts.built[name] < 30} == {"strength", "verified", "human", "judged"}

    def runs(text, size):
        words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
        return {" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}

    def opening(text):
        return " ".join("".join(c if c.isalnum() else " " for c in text.lower()).split()[:12])

    openings = {opening(question) for question in asked if isinstance(question, str)}
    sides = [text for pair in evaluated for text in (pair.chosen, pair.rejected)]
    copies = {run for text in sides for run in runs(text, 13) if run.count(" ") == 12}
    for pair in pairs:
        assert opening(pair.question) not in openings
        assert not any(runs(text, 13) & copies for text in (pair.chosen, pair.rejected))
