"""The objective of a run: the preference loss and the terms beside it, as its recipe weighs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.config import ObjectiveConfig
from training.data import EncodedPair
from training.objectives.bradley_terry import bradley_terry, smoothed
from training.objectives.hinge import hinge
from training.objectives.regularizers import centring, length_correlation, margin_mse, separation

LOSSES = {"bradley-terry": bradley_terry, "hinge": hinge}
"""What a pair costs, by the name in a recipe."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of pairs beside their texts, on the device of the scores.

    Args:
        head: index of each pair's own contribution, int64 [pairs].
        margin: logits by which its sides should differ, float [pairs].
        target: probability that its chosen answer is better, float [pairs].
        weight: factor on what it costs, float [pairs].
        log_ratio: log of the characters of its sides, chosen by rejected, float [pairs].
        taught: margin by the teachers, NaN without, float [pairs].
        relevance: margin of the relevance contribution by the untouched base, NaN without, float [pairs].
    """

    head: Tensor
    margin: Tensor
    target: Tensor
    weight: Tensor
    log_ratio: Tensor
    taught: Tensor
    relevance: Tensor

    @classmethod
    def of(cls, pairs: Sequence[EncodedPair], device: torch.device | str = "cpu") -> Labels:
        """Return the labels of pairs; `relevance` is NaN."""

        def floats(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=torch.float32, device=device)

        return cls(
            head=torch.tensor([pair.head for pair in pairs], device=device),
            margin=floats([pair.margin for pair in pairs]),
            target=floats([pair.target for pair in pairs]),
            weight=floats([pair.weight for pair in pairs]),
            log_ratio=floats([pair.log_ratio for pair in pairs]),
            taught=floats([pair.taught for pair in pairs]),
            relevance=floats([float("nan")] * len(pairs)),
        )


def objective(chosen: Tensor, rejected: Tensor, labels: Labels, config: ObjectiveConfig) -> Tensor:
    """Return what a batch of pairs costs, summed over the pairs, a scalar.

    It is the preference loss on the sum of the contributions, plus `principle_weight` times that loss (Bradley-Terry
    without margin) on the contribution that belongs to the pair, plus the terms of `training.objectives.regularizers`,
    each times its weight in the recipe. All but the correlation with length are sums over pairs, so that batches can
    be split.

    Args:
        chosen: contributions, float [pairs, contributions].
        rejected: contributions, float [pairs, contributions].
        labels: of the pairs.
        config: the weights.

    >>> from training.config import ObjectiveConfig
    >>> pair = EncodedPair(None, None, head=0, margin=0.0, target=1.0)
    >>> contributions = torch.zeros(2, 6)
    >>> cost = objective(contributions, contributions, Labels.of([pair] * 2), ObjectiveConfig(principle_weight=0.5))
    >>> round(cost.item() / 2, 4)
    1.0397
    """
    preference = LOSSES[config.loss]
    score_chosen, score_rejected = chosen.sum(1), rejected.sum(1)
    target = smoothed(labels.target, config.label_smoothing)
    cost = preference(score_chosen, score_rejected, labels.margin, target)
    own = labels.head[:, None]
    own_chosen, own_rejected = chosen.gather(1, own).squeeze(1), rejected.gather(1, own).squeeze(1)
    # The sum has to reach the margin, one part of it need not; a hinge without a margin would teach nothing.
    own_margin = labels.margin if config.loss == "hinge" else torch.zeros_like(target)
    cost = cost + config.principle_weight * preference(own_chosen, own_rejected, own_margin, target)
    cost = cost + config.centre * centring(score_chosen, score_rejected)
    cost = cost + config.separate * separation(chosen, rejected, labels.head)
    cost = cost + config.teacher * margin_mse(score_chosen - score_rejected, labels.taught)
    cost = cost + config.base_relevance * margin_mse(own_chosen - own_rejected, labels.relevance)
    total = (cost * labels.weight).sum()
    if config.length:
        total = total + config.length * len(cost) * length_correlation(score_chosen - score_rejected, labels.log_ratio)
    return total
