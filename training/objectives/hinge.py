"""A hinge: a pair costs nothing once its scores differ by a margin, which may be another for each axiom."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu


def hinge(chosen: Tensor, rejected: Tensor, margin: Tensor, target: Tensor) -> Tensor:
    """Return what each pair costs, float [pairs].

    It is `target * relu(margin - d) + (1 - target) * relu(margin + d)` with `d = chosen - rejected`. Pairs whose
    target is 1/2 should not differ: they cost `|d|`.

    Source: arXiv 2312.02206, where the margin depends on the axiom; its values are not public.

    Args:
        chosen: scores in logits, float [pairs].
        rejected: scores in logits, float [pairs].
        margin: logits from which on a pair costs nothing, float [pairs].
        target: probability that the chosen answer is better, float [pairs].

    >>> hinge(torch.tensor([2.0, 0.5]), torch.zeros(2), torch.ones(2), torch.ones(2))
    tensor([0.0000, 0.5000])
    """
    difference = chosen - rejected
    one_sided = target * relu(margin - difference) + (1 - target) * relu(margin + difference)
    return torch.where(target == 0.5, difference.abs(), one_sided)
