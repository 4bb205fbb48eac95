"""The objective: Bradley-Terry on the score, and on the contribution of the principle that a pair upholds."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def bradley_terry(chosen: Tensor, rejected: Tensor, margin: Tensor, target: Tensor) -> Tensor:
    """Return the negative log-likelihood of each pair, float [pairs].

    With `z = chosen - rejected - margin` it is `-target * log sigmoid(z) - (1 - target) * log sigmoid(-z)`: for a
    target of 1 the loss of Ouyang et al. (arXiv 2203.02155, eq. 1) with the margin of Llama 2 (arXiv 2307.09288,
    eq. 2); for a softer target its cross-entropy, smallest where `sigmoid(z)` is the target.

    Args:
        chosen: scores in logits, float [pairs].
        rejected: scores in logits, float [pairs].
        margin: logits by which the two should differ, float [pairs].
        target: probability that the chosen answer is better, float [pairs].

    >>> one, zero = torch.ones(1), torch.zeros(1)
    >>> round(bradley_terry(zero, zero, zero, one).item(), 4)
    0.6931
    """
    z = chosen - rejected - margin
    return -target * logsigmoid(z) - (1 - target) * logsigmoid(-z)


def preference_loss(
    chosen: Tensor,
    rejected: Tensor,
    head: Tensor,
    margin: Tensor,
    target: Tensor,
    principle_weight: float = 0.3,
    centre: float = 0.0,
    separate: float = 0.0,
) -> Tensor:
    """Return the mean loss of a batch of pairs, a scalar.

    It is Bradley-Terry on the sum of the contributions, plus `principle_weight` times Bradley-Terry (without margin)
    on the one contribution that belongs to the pair, plus `centre` times the squared mean of the two scores, plus
    `separate` times the squared margins of the other contributions: the two sides of a pair that is built for a
    principle differ in that alone. The last contribution, `general`, is of pairs that name no principle; they may
    differ in any.

    Args:
        chosen: contributions, float [pairs, contributions].
        rejected: contributions, float [pairs, contributions].
        head: index of each pair's own contribution, int64 [pairs].
        margin: float [pairs].
        target: float [pairs].
        principle_weight: 0 or more.
        centre: 0 or more.
        separate: 0 or more.

    >>> contributions, head = torch.zeros(2, 6), torch.tensor([0, 5])
    >>> loss = preference_loss(contributions, contributions, head, torch.zeros(2), torch.ones(2), principle_weight=0.5)
    >>> round(loss.item(), 4)
    1.0397
    """
    score_chosen, score_rejected = chosen.sum(1), rejected.sum(1)
    own_chosen = chosen.gather(1, head[:, None]).squeeze(1)
    own_rejected = rejected.gather(1, head[:, None]).squeeze(1)
    loss = bradley_terry(score_chosen, score_rejected, margin, target)
    loss = loss + principle_weight * bradley_terry(own_chosen, own_rejected, torch.zeros_like(margin), target)
    loss = loss + centre * ((score_chosen + score_rejected) / 2) ** 2
    if separate:
        others = ((chosen - rejected) ** 2).sum(1) - (own_chosen - own_rejected) ** 2
        loss = loss + separate * others * (head != chosen.shape[1] - 1)
    return loss.mean()


def margin_mse(margin: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared error of margins against a teacher's, a scalar; 0 for no pairs.

    Source: Hofstätter et al., arXiv 2010.02666, eq. 2.

    Args:
        margin: score of the chosen answer minus that of the rejected one, float [pairs].
        teacher: the same difference by the teacher, float [pairs].

    >>> margin_mse(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])).item()
    2.0
    """
    return ((margin - teacher) ** 2).sum() / max(1, len(margin))
