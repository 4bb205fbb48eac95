"""A small training run: threads and labels with a preference that is easy to learn, a base, a recipe, the command."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from prefmodel.cli import main
from prefmodel.files import write_pairs, write_threads
from prefmodel.types import Answer, PreferencePair, Thread
from tests.small_base import write_base

GOOD = ("clear", "exact", "careful", "sourced")
BAD = ("vague", "wrong", "lazy", "rude")
NOISE = tuple(f"word{i}" for i in range(60))
SETTINGS: Mapping[str, Any] = {
    "epochs": 6,
    "step_pairs": 16,
    "learning_rate": 2e-3,
    "head_learning_rate": 2e-2,
    "dropout": 0.1,  # so that the random numbers matter for a resumed run
    "eval_every": 20,
    "save_every": 4,
}
# Outputs of small products can depend on the number of threads; so one, here and in processes that the tests start.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class SmallRun:
    """Where a small run's data and recipe are.

    Args:
        folder: holds `data`, `base` and the recipes.
        recipe: a TOML file.
    """

    folder: Path
    recipe: Path

    def arguments(self, out: Path, *more: object) -> list[str]:
        """Return the arguments of `prefmodel` that train in `out`."""
        return ["train", str(self.recipe), "--data", str(self.folder / "data"), "-o", str(out), *map(str, more)]

    def train(self, out: Path, *more: object) -> Result:
        """Train in this process."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return CliRunner().invoke(main, self.arguments(out, *more))
        finally:
            torch.set_num_threads(threads)

    def command(self, out: Path) -> list[str]:
        """Return the command that trains in `out` in a process of its own."""
        return [sys.executable, "-m", "prefmodel.cli", *self.arguments(out)]

    def variant(self, name: str, base: Path | None = None, **settings: Any) -> SmallRun:
        """Return a run with another base, other settings of the training, or other tables of the recipe."""
        recipe = self.folder / f"{name}.toml"
        write_recipe(recipe, base or self.folder / "base", {**SETTINGS, **settings})
        return SmallRun(self.folder, recipe)


def small_run(folder: Path) -> SmallRun:
    """Write data, base and recipe to `folder`."""
    (folder / "data").mkdir(parents=True)
    pairs, threads = labels(Random(0), 240), forum(Random(1), 40)
    question = pairs[0].question
    long = " ".join(NOISE[:40])  # cut in the middle, where alone the two sides differ
    pairs.append(PreferencePair(question, long, long.replace("word20", "clear"), axiom="human", source="cut"))
    write_pairs(folder / "data" / "labels.jsonl.gz", pairs)
    write_threads(folder / "data" / "threads.jsonl", threads)
    write_pairs(folder / "data" / "eval.jsonl", labels(Random(2), 5))
    write_base(folder / "base", [" ".join((*GOOD, *BAD, *NOISE))])
    return SmallRun(folder, folder / "none").variant("recipe")


def labels(rng: Random, count: int) -> list[PreferencePair]:
    """Return pairs in which the chosen answer has good words and the rejected one bad words."""
    return [
        PreferencePair(question(rng), answer(rng, GOOD), answer(rng, BAD), axiom="human", source="demo")
        for _ in range(count)
    ]


def forum(rng: Random, count: int) -> list[Thread]:
    """Return threads in which the answer with more votes has good words."""
    return [
        Thread(
            f"demo/{i}",
            "demo",
            question(rng),
            (Answer(answer(rng, GOOD), votes=12), Answer(answer(rng, BAD), votes=0)),
        )
        for i in range(count)
    ]


def question(rng: Random) -> str:
    return " ".join(rng.sample(NOISE, 5)) + "?"


def answer(rng: Random, marks: tuple[str, ...]) -> str:
    words = [*rng.sample(NOISE, 6), *rng.sample(marks, 2)]
    rng.shuffle(words)
    return " ".join(words) + "."


def write_recipe(path: Path, base: Path, settings: Mapping[str, Any]) -> None:
    lines = [f"base = {json.dumps(str(base))}", "seed = 3", "[data]"]
    lines += ['threads = ["threads.jsonl"]', 'labels = ["labels*"]', 'exclude = ["eval.jsonl"]']
    lines += ['axioms = ["usefulness", "human"]', "heldout = 50", "[data.licences]", '"labels*" = "CC0"']
    lines += ["[encoding]", "max_tokens = 32", "question_tokens = 12", "[train]"]
    tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items() if name not in tables]
    for table, values in tables.items():
        lines += [f"[{table}]", *[f"{name} = {toml(value)}" for name, value in values.items()]]
    path.write_text("\n".join(lines) + "\n")


def toml(value: Any) -> str:
    """Return a value of a recipe as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {json.dumps(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)


def weights(out: Path) -> dict[str, torch.Tensor]:
    """Return all tensors of a finished run."""
    return load_file(out / "model.safetensors") | load_file(out / "heads.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def log(out: Path) -> list[dict[str, Any]]:
    """Return the lines of a log that are whole; a running process may be in the middle of one."""
    path = out / "log.jsonl"
    return [json.loads(line) for line in re.findall(r"(.*)\n", path.read_text())] if path.exists() else []
