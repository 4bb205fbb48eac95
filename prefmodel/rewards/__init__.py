"""Rewards for trainers that run in the trainer's own process, on the CPU: TRL, OpenRLHF, verl, and a judge of pairs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefmodel.rewards.judge import PairwiseJudge
    from prefmodel.rewards.shaping import RewardConfig
    from prefmodel.rewards.trl import AsyncTRLReward, TRLReward

__all__ = ["AsyncTRLReward", "PairwiseJudge", "RewardConfig", "TRLReward"]

# Imported on first use: a spawned worker that only unpickles a configuration shall not wait for onnxruntime.
_HOMES = {"judge": ("PairwiseJudge",), "shaping": ("RewardConfig",), "trl": ("AsyncTRLReward", "TRLReward")}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"prefmodel.rewards.{home}"), name)
    raise AttributeError(f"module 'prefmodel.rewards' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
