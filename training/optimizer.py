"""AdamW with its groups of parameters, and the course of the learning rate."""

from __future__ import annotations

import math

from torch import nn
from torch.optim import AdamW, Optimizer

from training.config import TrainConfig


def adamw(net: nn.Module, heads: nn.Module, config: TrainConfig) -> AdamW:
    """Return AdamW over what is to be trained of `net`: its `heads` apart; no decay for them, biases and norms."""
    own = set(map(id, heads.parameters()))
    trained = [p for p in net.parameters() if p.requires_grad]
    body = [p for p in trained if id(p) not in own]
    parts = [
        ([p for p in body if p.ndim > 1], config.learning_rate, config.weight_decay),
        ([p for p in body if p.ndim <= 1], config.learning_rate, 0.0),
        ([p for p in trained if id(p) in own], config.head_learning_rate, 0.0),
    ]
    return AdamW([{"params": p, "lr": 0.0, "peak": peak, "weight_decay": d} for p, peak, d in parts], fused=True)


def set_learning_rate(optimizer: Optimizer, progress: float, warmup: float) -> None:
    """Set each group of an optimizer of `adamw` to its learning rate at `progress`."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(group["peak"], progress, warmup)


def learning_rate(peak: float, progress: float, warmup: float) -> float:
    """Return the learning rate at `progress`: a linear rise over `warmup`, then a cosine to zero.

    Args:
        peak: the highest learning rate.
        progress: how far the run is, 0 to 1.
        warmup: share of the updates, 0 to below 1.

    >>> learning_rate(1.0, 0.05, warmup=0.1), learning_rate(1.0, 1.0, warmup=0.1)
    (0.5, 0.0)
    """
    if progress < warmup:
        return peak * progress / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
