"""What tells one run from another beside its recipe: where it began, and on what it ran."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from prefmodel.errors import InputError
from prefmodel.files import sha256
from training.model import PreferenceNet
from training.recipe import Recipe
from training.run_folder import BUNDLE_TRAINING, RESULT

PACKAGES = ("prefmodel", "torch", "transformers", "accelerate", "tokenizers", "numpy")
"""Packages whose versions are recorded."""


def surroundings(recipe: Recipe, net: PreferenceNet, place: Accelerator) -> dict[str, Any]:
    """Return the facts as JSON values.

    `base_run` is the record of the base's own run, or None; `base_bundle` what a bundle says of its training from which
    the base was read, or None. The same of `train.blend_base`, if there is one.
    """
    return {
        "base": recipe.base,
        "base_revision": getattr(net.config, "_commit_hash", None),
        **_origin("base", recipe.base),
        **(_origin("blend_base", recipe.train.blend_base) if recipe.train.blend_base else {}),
        "seed": recipe.seed,
        "device": place.device.type,
        "processes": place.num_processes,
        "distributed": place.distributed_type.value,
        "precision": place.mixed_precision,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def weights_of(recipe: Recipe) -> dict[str, str | None]:
    """Return the SHA-256 of the weights of base and `train.blend_base`, None where they are in no folder."""
    places = {"base": recipe.base, "train.blend_base": recipe.train.blend_base}
    return {name: _sha256(place) for name, place in places.items() if place}


def check_same_weights(weights: Mapping[str, str | None], began: Mapping[str, str | None]) -> None:
    """Raise InputError where what `weights_of` gives is not what it gave when a run began."""
    if changed := [name for name in weights if weights[name] != began.get(name)]:
        raise InputError(f"{changed[0]} has other weights than when the run began; allowed: the same")


def _sha256(place: str) -> str | None:
    weights = Path(place) / "model.safetensors"
    return sha256(weights) if weights.is_file() else None


def _origin(name: str, place: str) -> dict[str, Any]:
    """Return which weights are in a folder, and the records of how they were trained."""
    return {
        f"{name}_sha256": _sha256(place),
        f"{name}_run": _record(Path(place) / RESULT, {"recipe", "data", "updates", "seconds", "device"}),
        f"{name}_bundle": _record(Path(place) / BUNDLE_TRAINING, set()),
    }


def _record(path: Path, needed: set[str]) -> dict[str, Any] | None:
    """Return the record of how a base was trained, if it has one: what was learned there counts too."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record if needed <= record.keys() else None
    except (OSError, ValueError, AttributeError):
        return None  # no file, or a file of something else
