"""Terms beside the preference loss: scores near zero, contributions that stay apart, no reward for length."""

from __future__ import annotations

import torch
from torch import Tensor


def centring(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return the squared mean score of each pair, float [pairs], which keeps scores near zero.

    A preference loss fixes differences only; without this, levels drift.

    Source: Eisenstein et al., arXiv 2312.09244, section 2, which squares the sum of the two scores.

    Args:
        chosen: scores in logits, float [pairs].
        rejected: scores in logits, float [pairs].

    >>> centring(torch.tensor([3.0]), torch.tensor([1.0]))
    tensor([4.])
    """
    return ((chosen + rejected) / 2) ** 2


def separation(chosen: Tensor, rejected: Tensor, head: Tensor) -> Tensor:
    """Return for each pair the squared margins of the contributions that are not its own, float [pairs].

    The two sides of a pair that is built for a principle differ in that alone. The last contribution, `general`, is of
    pairs that name no principle: they may differ in any, and cost nothing.

    Args:
        chosen: contributions, float [pairs, contributions].
        rejected: contributions, float [pairs, contributions].
        head: index of each pair's own contribution, int64 [pairs].

    >>> separation(torch.tensor([[3.0, 1.0, 0.0]]), torch.zeros(1, 3), torch.tensor([0]))
    tensor([1.])
    """
    squares = (chosen - rejected) ** 2
    others = squares.sum(1) - squares.gather(1, head[:, None]).squeeze(1)
    return others * (head != chosen.shape[1] - 1)


def length_correlation(difference: Tensor, log_ratio: Tensor) -> Tensor:
    """Return the squared correlation of score differences and log length ratios of a batch, a scalar from 0 to 1.

    0 for fewer than three pairs, or where one of the two is constant: then there is nothing to correlate.

    Source: the idea of a penalty on the correlation of reward and length is of Chen et al. (ODIN), arXiv 2402.07319,
    eq. 4; here on the score itself, and squared, so that neither longer nor shorter answers gain.

    Args:
        difference: score of the chosen minus that of the rejected answer, float [pairs].
        log_ratio: log of characters of the chosen by those of the rejected answer, float [pairs].

    >>> round(length_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.1, 0.2, 0.3])).item(), 4)
    1.0
    """
    if len(difference) < 3:
        return difference.sum() * 0.0
    a, b = difference - difference.mean(), log_ratio - log_ratio.mean()
    spread = (a**2).sum() * (b**2).sum()
    return (a * b).sum() ** 2 / spread.clamp(min=1e-12)


def margin_mse(margin: Tensor, teacher: Tensor) -> Tensor:
    """Return the squared error of each margin against a teacher's, float [pairs]; 0 where the teacher's is NaN.

    Source: Hofstätter et al., arXiv 2010.02666, eq. 2.

    Args:
        margin: score of the chosen answer minus that of the rejected one, float [pairs].
        teacher: the same difference by the teacher, float [pairs]; NaN where there is none.

    >>> margin_mse(torch.tensor([1.0, 3.0]), torch.tensor([float("nan"), 1.0]))
    tensor([0., 4.])
    """
    known = ~torch.isnan(teacher)
    return torch.where(known, (margin - torch.where(known, teacher, margin.detach())) ** 2, torch.zeros_like(margin))
