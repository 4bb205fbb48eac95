"""Options of the rewards that a trainer loads as a bare function from a file, which can be given no arguments."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from prefmodel.errors import InputError, shown
from prefmodel.rewards.scorer import SharedModel
from prefmodel.rewards.shaping import RewardConfig


def model_from_environment() -> SharedModel:
    """Return the model that `PREFMODEL_MODEL` names, a folder or a Hub name; by default the default model.

    `PREFMODEL_THREADS` says how many CPU threads one run takes; by default as many as the process may use.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
        InputError: the number of threads is none.
    """
    threads = os.environ.get("PREFMODEL_THREADS")
    if threads and not threads.isdecimal():
        raise InputError(f"PREFMODEL_THREADS is {shown(threads)}; allowed: 1 or more")
    return SharedModel(os.environ.get("PREFMODEL_MODEL") or None, int(threads) if threads else None)


def config_from_environment() -> RewardConfig:
    """Return the options in `PREFMODEL_REWARD`, a JSON object such as `{"clip": [-3, 3], "length_penalty": 0.5}`.

    Raises:
        InputError: it is no JSON object, or an option is not what is allowed.
    """
    text = os.environ.get("PREFMODEL_REWARD") or "{}"
    try:
        options = json.loads(text)
    except ValueError:
        options = None
    if not isinstance(options, dict):
        raise InputError(f"PREFMODEL_REWARD is {shown(text)}; allowed: a JSON object of options")
    return config_of(options)


def config_of(options: Mapping[str, Any]) -> RewardConfig:
    """Return options as a `RewardConfig`; raise InputError for one that is unknown or not what is allowed.

    >>> config_of({"clip": [-3, 3]}).clip
    (-3.0, 3.0)
    """
    known = [field.name for field in fields(RewardConfig)]
    for name in options:
        if name not in known:
            raise InputError(f"{name} is no option; allowed: {', '.join(known)}")
    return RewardConfig(**{name: as_plain(value) for name, value in options.items()})


def as_plain(value: Any) -> Any:
    """Return a sequence that is neither text nor a list as a list: trainers pass lists of their own kinds."""
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str | list | tuple) else value
