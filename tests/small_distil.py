"""A small distillation: a talk without votes, a base for students, a recipe, and what teachers make of its pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.files import write_pairs, write_threads
from prefmodel.types import Answer, PreferencePair, Thread
from tests.small_base import write_base
from tests.small_run import BAD, GOOD, NOISE, SETTINGS, SmallRun, answer, labels, question
from training.data import RunData, load
from training.distil import with_distilled
from training.measure import contributions
from training.model import PreferenceNet, load_tokenizer
from training.recipe import Recipe

WORDS = " ".join((*GOOD, *BAD, *NOISE))


def talk(rng: Random, count: int) -> list[Thread]:
    """Return threads whose answers have good words, bad ones or both, and no votes; one in ten is long."""
    out = []
    for i in range(count):
        texts = [answer(rng, kind) for kind in (GOOD, BAD, (*GOOD, *BAD), GOOD)]
        texts += ["", "  ", texts[0].replace(" ", "  ")]
        if i % 10 == 0:
            texts.append(f"{' '.join(rng.choices(NOISE, k=40))} {answer(rng, BAD)}")
        out.append(Thread(f"talk/{i}", "talk", question(rng), tuple(map(Answer, texts))))
    return out


def small_distil(folder: Path) -> Path:
    """Write `data`, a `base` and one for a `student`, with another vocabulary and other weights; return the folder."""
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    write_threads(data / "talk.jsonl", talk(Random(5), 60))
    write_pairs(data / "few.jsonl", labels(Random(6), 24))
    write_pairs(data / "eval.jsonl", labels(Random(2), 5))
    write_base(folder / "base", [WORDS])
    write_base(folder / "student", [f"{WORDS} another vocabulary"], seed=9)
    return folder


def recipe(
    folder: Path, *teachers: object, objective: dict[str, float] | None = None, batch_tokens: int = 1024, **distil: Any
) -> Recipe:
    """Return the recipe of a student with few labels."""
    return Recipe.from_dict(
        {
            "base": str(folder / "student"),
            "seed": 3,
            "data": {"labels": ["few*"], "exclude": ["eval.jsonl"], "licences": {"talk*": "CC0"}},
            "encoding": {"max_tokens": 60, "question_tokens": 12},
            "objective": objective or {},
            "distil": {"teachers": [*map(str, teachers)], "threads": ["talk.jsonl"], **distil},
            "train": {**SETTINGS, "epochs": 8, "batch_tokens": batch_tokens},
        }
    )


def written(recipe: Recipe, folder: Path, name: str) -> SmallRun:
    """Write a recipe as the command line reads it, and return its run."""
    lines = [f"base = {json.dumps(recipe.base)}", f"seed = {recipe.seed}"]
    for table in ("data", "encoding", "objective", "distil", "train"):
        values = recipe.to_dict()[table]
        tables = {key: value for key, value in values.items() if isinstance(value, dict)}
        lines += [f"[{table}]", *(f"{k} = {json.dumps(v)}" for k, v in values.items() if k not in tables)]
        for key, entries in tables.items():
            lines += [f"[{table}.{key}]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in entries.items())]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines) + "\n")
    assert Recipe.read(path) == recipe
    return SmallRun(folder, path)


def distilled(
    recipe: Recipe, data: Path, out: Path, said: list[str] | None = None
) -> tuple[list[PreferencePair], RunData]:
    """Return the pairs that teachers labelled, and all that is trained on."""
    said = [] if said is None else said
    run = with_distilled(load(recipe.data, data, recipe.seed, said.append), recipe, data, out, said.append)
    return [pair for pair in run.train if pair.axiom == "distilled"], run


def margins(
    net: PreferenceNet, tokenizer: Path, encoding: EncodingConfig, pairs: Sequence[PreferencePair]
) -> np.ndarray:
    """Return score of the chosen minus score of the rejected answer, [pairs]."""
    encoder = PairEncoder(load_tokenizer(tokenizer), encoding)
    sides = [encoder.encode(pair.question, text) for pair in pairs for text in (pair.chosen, pair.rejected)]
    scores = contributions(net, encoder, sides, 1024).sum(1)
    return scores[::2] - scores[1::2]
