"""The model that ships in the package: its size, its facts, and what it prefers on real held-out data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

import prefmodel
from axioms import relevance
from prefmodel.bundle import DEFAULT, Bundle
from prefmodel.evaluation import pairwise_accuracy
from prefmodel.files import read_threads
from prefmodel.splits import split_of
from training.data import files
from training.recipe import Recipe

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data, which users do not have")


@pytest.fixture(scope="module")
def model() -> prefmodel.PreferenceModel:
    return prefmodel.PreferenceModel.from_pretrained()


def test_bundle_is_small() -> None:
    size = sum(path.stat().st_size for path in DEFAULT.rglob("*") if path.is_file())
    assert 20e6 < size <= 40e6


def trainings() -> list[dict[str, Any]]:
    """The facts of the trainings that the model went through, the first one first."""
    facts = Bundle.open().info["training"]
    stages = [facts]
    while "before" in stages[0]:
        stages.insert(0, stages[0]["before"])
    return stages


def test_facts_are_recorded() -> None:
    first, *_, facts = stages = trainings()
    assert first["base"] == "ms-marco-minilm-l12"
    assert Bundle.open().contributions[-1] == "length"
    assert sum(first["pairs"].values()) >= 10_000
    for stage in stages:
        assert len(stage["base_sha256"]) == 64
        assert all(entry["sha256"] and entry["licence"] != "not stated" for entry in stage["data"])
        assert len(stage["excluded_files"]) == 7
    assert facts["parity"]["int8"]["flipped"] <= 0.02
    assert facts["parity"]["int8"]["tau"] >= 0.97
    assert facts["parity"]["int8"]["pairs"] >= 1000


def test_notice_names_every_source() -> None:
    notice = (DEFAULT / "NOTICE.md").read_text(encoding="utf-8")
    for name in (
        "ms-marco-MiniLM-L-12-v2",
        "HH-RLHF",
        "OASST1",
        "QA-Feedback",
        "CLAP NQ",
        "PubMedQA",
        "Reddit",
        "CC BY-SA",
        "int8",
    ):
        assert name in notice


@pytest.mark.parametrize(("number", "name"), [(0, "default"), (1, "robust"), (2, "steady")])
def test_recipes_in_the_bundle_are_those_in_the_repository(number: int, name: str) -> None:
    recorded = trainings()[number]["recipe"]
    written = Recipe.read(ROOT / "recipes" / f"{name}.toml")
    # The first changes nothing of the result, the second was a folder.
    train = {**recorded["train"], "save_every": written.train.save_every, "blend_base": written.train.blend_base}
    assert Recipe.from_dict({**recorded, "base": written.base, "train": train}) == written


def test_first_command_needs_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from prefmodel.cli import main\n"
        "main(['score', '--question', 'Why is the sky blue?', '--answer', 'Air scatters blue light most.'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert isinstance(float(done.stdout), float)


@pytest.mark.parametrize(
    ("question", "good", "bad"),
    [
        ("How long should I boil an egg?", "About ten minutes for a firm yolk.", "The capital of France is Paris."),
        ("Who wrote Faust?", "Johann Wolfgang von Goethe wrote Faust.", "I like plays."),
        ("How do I undo my last git commit?", "Run `git reset --soft HEAD~1`; your changes stay staged.", "Yes."),
    ],
)
def test_prefers_an_answer_to_the_question(
    model: prefmodel.PreferenceModel, question: str, good: str, bad: str
) -> None:
    assert model.compare(question, good, bad) > 0.6
    assert model.compare(question, good, bad) == pytest.approx(1 - model.compare(question, bad, good), abs=0.05)


@needs_data
def test_own_answer_beats_that_of_another_thread(model: prefmodel.PreferenceModel) -> None:
    threads = [t for t in read_threads(DATA / "threads" / "dolly.jsonl.gz") if split_of(t.question) == "test"]
    rng = Random(0)
    chosen = rng.sample(threads, 100)
    others = [rng.choice([t for t in threads if t is not thread]) for thread in chosen]
    questions = [t.question for t in chosen]
    own = model.score(questions, [t.answers[0].text for t in chosen])
    other = model.score(questions, [t.answers[0].text for t in others])
    assert sum(own > other) >= 95


@pytest.fixture(scope="module")
def relevance_accuracy(model: prefmodel.PreferenceModel) -> float:
    recipe = Recipe.read(ROOT / "recipes" / "default.toml")
    threads = [thread for path in files(DATA, recipe.data.threads) for thread in read_threads(path)]
    # Looking among these alone for what is similar takes seconds, among all minutes.
    heldout = [thread for thread in threads if split_of(thread.question) == "test"]
    pairs = Random(1).sample([*relevance.build(heldout, Random("0/relevance"))], 150)
    questions = [p.question for p in pairs]
    margins = model.score(questions, [p.chosen for p in pairs]) - model.score(questions, [p.rejected for p in pairs])
    return pairwise_accuracy(margins)


@needs_data
@pytest.mark.xfail(reason="the aim; the present model has .91", strict=True)
def test_heldout_relevance_pairs(relevance_accuracy: float) -> None:
    assert relevance_accuracy >= 0.95


@needs_data
def test_heldout_relevance_does_not_fall_behind(relevance_accuracy: float) -> None:
    assert relevance_accuracy >= 0.89


def test_golden_ids(model: prefmodel.PreferenceModel) -> None:
    """The encoding that the default model was trained with; if it changes, every score does."""
    encoder = model.bundle.encoder()
    assert encoder.encode("Why is the sky blue?", "Air scatters blue light [SEP] most.").ids == [
        *(101, 2339, 2003, 1996, 3712, 2630, 1029, 102),
        *(2250, 8040, 20097, 2015, 2630, 2422, 1031, 19802, 1033, 2087, 1012, 102),
    ]
    long = encoder.encode("word " * 300, "cut " * 600)
    assert (len(long.ids), long.question_cut, long.answer_cut) == (512, 141, 252)
    assert [i for i, token in enumerate(long.ids) if token == 1529] == [112, 406]  # "…", the mark of a cut
