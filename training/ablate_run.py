"""One rung of an ablation with one seed: trained on its pairs unless that is done, and asked for scores once."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from prefmodel.encoding import PairEncoder
from prefmodel.errors import InputError, PrefModelError
from prefmodel.evaluation import Scorer
from prefmodel.files import sha256, whole_file, write_pairs
from prefmodel.types import PreferencePair, Question
from training.config import DataConfig, DistilConfig, ObjectiveConfig
from training.data import WITHOUT_PAIRS
from training.measure import contributions
from training.model import PreferenceNet
from training.recipe import Recipe
from training.run_folder import RESULT
from training.train import train

CHUNK = 512
"""Answers that are scored between two steps of the progress bar."""

NEVER = 10**9
"""Updates between two looks at development pairs: there are none to look at, since the last update's weights count."""


def trained(recipe: Recipe, pairs: Sequence[PreferencePair], folder: Path, name: str) -> dict[str, Any]:
    """Train in `folder`/runs/`name`, unless that is done, and return the record of the run.

    The weights of the last update are kept and updates hold whole numbers of pairs, so that all runs of as many pairs
    make the same number of updates, and none is chosen by what it is measured on.

    Args:
        recipe: has the base, the seed, the lengths, the objective and how it is trained; not the pairs.
        pairs: all that it is trained on.
        folder: of the ablation; the pairs go to `pairs/` in it.
        name: of the run.

    Raises:
        InputError: the run there was trained on other pairs or by another recipe.
        PrefModelError: training was stopped since it could not come to good; see `training.train.train` for others.
    """
    file, out = folder / "pairs" / f"{name}.jsonl.gz", folder / "runs" / name
    options = replace(recipe.train, keep="last", group_questions=False, eval_every=NEVER)
    ready = DataConfig(pairs=(file.name,), axioms=())
    own = replace(recipe, data=ready, distil=DistilConfig(), train=options, objective=_known(recipe.objective, pairs))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_pairs(file, pairs)  # the same pairs give the same bytes
    if not (out / RESULT).exists():
        try:
            train(own, file.parent, out)
        except PrefModelError as error:
            raise type(error)(f"run {name}: {error}") from None
    facts: dict[str, Any] = json.loads((out / RESULT).read_text())
    before = [entry["sha256"] for entry in facts["data"]["files"]]
    if facts["recipe"] != json.loads(json.dumps(own.to_dict())) or before != [sha256(file)]:
        raise InputError(
            f"output is {folder}, where run {name} is of other pairs or another recipe; "
            "allowed: --pairs, --labels and RECIPE as they were, or a new folder"
        )
    return facts


def _known(goal: ObjectiveConfig, pairs: Sequence[PreferencePair]) -> ObjectiveConfig:
    """Return an objective without axioms of ready pairs that a rung has none of: a run would take them for typos."""
    kept = {pair.axiom for pair in pairs}.union(WITHOUT_PAIRS)
    margins, weights = ({k: v for k, v in table.items() if k in kept} for table in (goal.margins, goal.weights))
    return replace(goal, margins=margins, weights=weights)


def start_net(recipe: Recipe) -> PreferenceNet:
    """Return the network with which a run begins, whose heads may be random: as its seed makes them."""
    torch.manual_seed(recipe.seed)
    return PreferenceNet.from_base(recipe.base, recipe.train.start, layers=recipe.train.layers)


def kept_scores(
    load: Callable[[], PreferenceNet], encoder: PairEncoder, folder: Path, batch_tokens: int, label: str
) -> Scorer:
    """Return what scores questions and answers with a network, and keeps the scores as files in `folder`.

    Args:
        load: gives the network; called when there is something new to score.
        encoder: of its inputs.
        folder: is made; one file for each list of questions and answers.
        batch_tokens: padded tokens of one batch.
        label: of the progress bar on stderr.
    """

    @cache
    def net() -> PreferenceNet:
        return load().to("cuda" if torch.cuda.is_available() else "cpu")

    def scores(questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
        asked = hashlib.sha256(repr((list(questions), list(answers))).encode("utf-8", "replace"))
        path = folder / f"{asked.hexdigest()[:16]}.npy"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            found = np.zeros(len(answers), np.float32)
            for at in tqdm(range(0, len(answers), CHUNK), label, leave=False, disable=not sys.stderr.isatty()):
                part = slice(at, at + CHUNK)
                sides = encoder.encode_batch(questions[part], answers[part])
                found[part] = contributions(net(), encoder, sides, batch_tokens).sum(1)
            with whole_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, found)
        return np.asarray(np.load(path), np.float32)

    return scores
