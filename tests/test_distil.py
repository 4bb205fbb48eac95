"""Distillation: which pairs teachers are asked about, what they make of them, and what a student learns of it."""

import json
import math
from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest
import torch

from prefmodel.encoding import EncodingConfig
from prefmodel.errors import InputError
from prefmodel.files import read_pairs, sha256, write_pairs, write_threads
from prefmodel.splits import split_of
from prefmodel.types import Answer, PreferencePair, Thread
from tests.small_distil import distilled, margins, recipe, small_distil, talk, written
from tests.small_run import BAD, GOOD, NOISE, answer, labels, question, small_run
from training.data import load
from training.model import PreferenceNet
from training.precision import has_bfloat16

SHORT = EncodingConfig(max_tokens=32, question_tokens=12)
"""What the teacher was trained with; students read more."""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Outputs of small products can depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_distil(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    result = small_run(folder / "small").train(folder / "run")
    assert result.exit_code == 0, result.output
    return folder / "run"


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_a_student_learns_what_its_teacher_knows(small, teacher, tmp_path):
    rng = Random(8)
    asked = [PreferencePair(question(rng), answer(rng, GOOD), answer(rng, BAD), "human", "new") for _ in range(80)]
    by_teacher = margins(PreferenceNet.from_checkpoint(teacher), teacher, SHORT, asked)
    agreement, error = {}, {}

    def look(name, net):
        own = margins(net, small / "student", recipe(small, teacher).encoding, asked)
        agreement[name] = np.mean(np.sign(own) == np.sign(by_teacher))
        error[name] = np.mean((own - by_teacher) ** 2)

    look("before", PreferenceNet.from_base(small / "student", start=0.3))
    for name, weight in (("probabilities", 0.0), ("margins", 0.5)):
        result = written(recipe(small, teacher, objective={"teacher": weight}), small, name).train(tmp_path / name)
        assert result.exit_code == 0, result.output
        look(name, PreferenceNet.from_checkpoint(tmp_path / name))
    assert agreement["before"] < 0.75
    assert min(agreement["probabilities"], agreement["margins"]) > 0.95
    assert error["margins"] < 0.5 * error["probabilities"] < 0.5 * error["before"]

    pairs = [*read_pairs(tmp_path / "margins" / "pairs" / "train.jsonl.gz")]
    facts = json.loads((tmp_path / "margins" / "run.json").read_text())["data"]
    assert facts["pairs"]["train"] == Counter(pair.axiom for pair in pairs)
    assert facts["pairs"]["train"]["distilled"] > 5 * facts["pairs"]["train"]["human"]
    digest = sha256(small / "data" / "talk.jsonl")
    assert facts["distil"]["files"] == [{"file": "talk.jsonl", "sha256": digest, "licence": "CC0"}]
    assert [entry["file"] for entry in facts["files"]] == ["few.jsonl"]
    [entry] = facts["distil"]["teachers"]
    assert (entry["name"], len(entry["sha256"])) == (str(teacher), 64)


def near(expected, abs):
    """As near as two batchings of the same texts come, ten times `abs` in bfloat16, which keeps two digits."""
    return pytest.approx(expected, abs=abs * 10, rel=2e-3) if has_bfloat16("cpu") else pytest.approx(expected, abs=abs)


def test_the_label_is_what_the_teacher_says(small, teacher, tmp_path):
    """It reads with its own tokenizer, and no more of a text than it was trained with."""
    pairs, _ = distilled(recipe(small, teacher, temperature=2.0), small / "data", tmp_path)
    found = margins(PreferenceNet.from_checkpoint(teacher), teacher, SHORT, pairs)
    assert any(len(pair.chosen.split()) > 40 or len(pair.rejected.split()) > 40 for pair in pairs)
    for pair, margin in zip(pairs, found, strict=True):
        assert (pair.axiom, pair.principle, pair.source) == ("distilled", None, "talk")
        assert pair.thread_id.startswith("talk/")
        assert pair.provenance["teachers"] == [str(teacher)]
        assert pair.provenance["margins"] == near([margin], abs=2e-3)
        assert pair.provenance["teacher_margin"] == near(margin / 2, abs=1e-3)
        assert pair.target == near(sigmoid(margin / 2), abs=1e-3)
        assert pair.target >= 0.5


def test_several_teachers_are_averaged(small, teacher, tmp_path):
    """The second is a cross-encoder with one label, which is not of ours."""
    other, both = small / "base", recipe(small, teacher, small / "base")
    pairs, run = distilled(both, small / "data", tmp_path)
    by_each = [margins(PreferenceNet.from_checkpoint(teacher), teacher, SHORT, pairs)]
    by_each += [margins(PreferenceNet.teacher(other), other, both.encoding, pairs)]
    assert (np.sign(by_each[0]) != np.sign(by_each[1])).any()
    for i, pair in enumerate(pairs):
        own = [float(found[i]) for found in by_each]
        assert pair.provenance["margins"] == near(own, abs=2e-3)
        assert pair.provenance["teacher_margin"] == near(sum(own) / 2, abs=2e-3)
        assert pair.target == near(sum(map(sigmoid, own)) / 2, abs=1e-3)
        assert pair.target >= 0.5
    first, second = run.report["distil"]["teachers"]
    assert first["sha256"] != second["sha256"]
    alone, _ = distilled(recipe(small, teacher), small / "data", tmp_path)
    assert {frozenset((p.chosen, p.rejected)) for p in alone} == {frozenset((p.chosen, p.rejected)) for p in pairs}


def test_labelled_pairs_keep_their_labels_and_get_margins(small, teacher, tmp_path):
    plain, _ = distilled(recipe(small, teacher), small / "data", tmp_path / "plain")
    mine = recipe(small, teacher, temperature=2.0, labelled=True)
    pairs, run = distilled(mine, small / "data", tmp_path / "labelled")
    own = [pair for pair in run.train if pair.axiom != "distilled"]
    before = load(mine.data, small / "data", mine.seed, lambda text: None).train
    key = lambda pair: (pair.question, pair.chosen, pair.rejected, pair.target, pair.axiom)  # noqa: E731
    assert Counter(map(key, own)) == Counter(map(key, before))
    assert [(p.question, {p.chosen, p.rejected}) for p in pairs] == [
        (p.question, {p.chosen, p.rejected}) for p in plain
    ]
    found = margins(PreferenceNet.from_checkpoint(teacher), teacher, SHORT, own)
    for pair, margin in zip(own, found, strict=True):
        assert pair.provenance["margins"] == near([margin], abs=2e-3)
        assert pair.provenance["teacher_margin"] == near(margin / 2, abs=1e-3)


def test_which_pairs_are_drawn(small, tmp_path):
    def draw(**settings):
        return distilled(recipe(small, small / "base", per_question=3, pairs=100, **settings), small / "data", tmp_path)

    pairs, run = draw()
    assert len(pairs) == 100 == run.report["pairs"]["train"]["distilled"]
    assert max(Counter(pair.question for pair in pairs).values()) == 3
    assert all(pair.chosen.strip() and pair.rejected.strip() for pair in pairs)
    sides = [(pair.question, tuple(" ".join(s.split()) for s in (pair.chosen, pair.rejected))) for pair in pairs]
    assert all(one != other for _, (one, other) in sides)
    assert max(Counter((question, frozenset(two)) for question, two in sides).values()) == 1
    assert draw()[0] == pairs
    plan = replace(recipe(small, small / "base", per_question=3, pairs=100), seed=4)
    other, _ = distilled(plan, small / "data", tmp_path)
    assert {pair.question for pair in other} != {pair.question for pair in pairs}


def test_evaluations_and_heldout_questions_are_kept_out(small, tmp_path):
    rng, data = Random(11), tmp_path / "data"
    data.mkdir()
    asked = talk(rng, 60)
    own = [thread for thread in asked if split_of(thread.question) == "train"]
    copied = " ".join(rng.sample(NOISE, 20))
    by_question, by_text, clean = own[:5], own[5:8], own[8:]
    by_text = [replace(thread, answers=(Answer(copied), Answer(f"{copied} clear"))) for thread in by_text]
    long = (" ".join(rng.sample(NOISE, 12)) for _ in range(1000))
    held = [q for q in long if split_of(q) != "train" and split_of(f"{q} so?") == "train"][:6]
    near = [Thread(f"near/{i}", "near", f"{q} so?", own[0].answers) for i, q in enumerate(held)]
    few = [PreferencePair(q, "A clear word.", "A rude word.", "human", "held") for q in held]
    write_pairs(data / "few.jsonl", [*labels(rng, 20), *few])
    evaluation = [(thread.question, "A word.", "No word.") for thread in by_question] + [("What?", copied, "No word.")]
    write_pairs(data / "eval.jsonl", [PreferencePair(*row, "human", "eval") for row in evaluation])
    others = [thread for thread in asked if split_of(thread.question) != "train"]
    assert others
    write_threads(data / "talk.jsonl", [*by_question, *by_text, *clean, *near, *others])

    pairs, run = distilled(recipe(small, small / "base"), data, tmp_path / "out")
    assert {pair.question for pair in pairs} == {thread.question for thread in clean}
    left_out = run.report["distil"]["left_out"]
    assert left_out["question or text of an excluded file"] == 5 * 4 + 3
    assert left_out["question near a held-out one"] == len(near) * 4 == 24
    assert all(pair.axiom != "distilled" for pair in (*run.dev, *run.test))


def test_the_random_numbers_of_the_run_stay_as_they_are(small, tmp_path):
    before = torch.get_rng_state()
    distilled(recipe(small, small / "base", pairs=5), small / "data", tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_without_two_answers_are_told(small, tmp_path):
    for name in ("few.jsonl", "eval.jsonl"):
        write_pairs(tmp_path / name, read_pairs(small / "data" / name))
    write_threads(tmp_path / "talk.jsonl", [Thread("t/1", "t", "Why?", (Answer("So."),))])
    with pytest.raises(InputError, match=r"no pairs to distil are left of 1 threads; look at distil\.threads"):
        distilled(recipe(small, small / "base"), tmp_path, tmp_path / "out")
