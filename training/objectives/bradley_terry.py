"""Bradley-Terry: the probability that one answer beats another is the sigmoid of the difference of their scores."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid


def bradley_terry(chosen: Tensor, rejected: Tensor, margin: Tensor, target: Tensor) -> Tensor:
    """Return the negative log-likelihood of each pair, float [pairs].

    With `z = chosen - rejected - margin` it is `-target * log sigmoid(z) - (1 - target) * log sigmoid(-z)`: for a
    target of 1 the loss of Ouyang et al. (arXiv 2203.02155, eq. 1) with the margin of Llama 2 (arXiv 2307.09288,
    eq. 2); for a softer target its cross-entropy, smallest where `sigmoid(z)` is the target. Soft targets are how
    pairs that must not differ (.5) and a judge's win rates are trained on.

    Args:
        chosen: scores in logits, float [pairs].
        rejected: scores in logits, float [pairs].
        margin: logits by which the two should differ, float [pairs].
        target: probability that the chosen answer is better, float [pairs].

    >>> import torch
    >>> one, zero = torch.ones(1), torch.zeros(1)
    >>> round(bradley_terry(zero, zero, zero, one).item(), 4)
    0.6931
    """
    z = chosen - rejected - margin
    return -target * logsigmoid(z) - (1 - target) * logsigmoid(-z)


def smoothed(target: Tensor, smoothing: float) -> Tensor:
    """Return targets drawn towards 1/2: as if a share `smoothing` of the labels were the wrong way round.

    Source: Müller et al., arXiv 1906.02629, eq. 1, with two classes; for preference labels with a known share of
    flips, the conservative loss of Mitchell, "A note on DPO with noisy preferences", 2023.

    Args:
        target: probability that the chosen answer is better, float [pairs].
        smoothing: 0 to below 1/2.

    >>> import torch
    >>> smoothed(torch.tensor([1.0, 0.5, 0.0]), 0.1)
    tensor([0.9000, 0.5000, 0.1000])
    """
    return target * (1 - smoothing) + (1 - target) * smoothing
