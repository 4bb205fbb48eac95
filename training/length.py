"""Length as a contribution of its own: what people like about a longer answer, told apart from what is good in it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Length:
    """A contribution that grows with the logarithm of an answer's tokens.

    Labels say that people prefer longer answers, more than what an answer says explains. With this in one place, the
    others need not learn it, and who does not want it, as a trainer whose policy would learn to be long, leaves it out.

    Source: ODIN, arXiv 2402.07319, trains a head for length to be thrown away; here it is fitted, with one number.

    Args:
        rate: logits for each e-fold of the tokens.
        centre: natural logarithm of the tokens that count as neither short nor long.

    >>> Length(rate=0.5, centre=0.0).of(torch.tensor([[0, 1, 1, 1, 1], [0, 0, 1, 0, 0]]))
    tensor([[0.6931],
            [0.0000]])
    """

    rate: float
    centre: float

    def of(self, answer: Tensor) -> Tensor:
        """Return the contribution in logits, float32 [batch, 1].

        Args:
            answer: 1 for each token of the answer that the model reads, else 0, int64 [batch, tokens].
        """
        return self.rate * (answer.sum(1, keepdim=True).clamp(min=1).float().log() - self.centre)


def to_tensor(length: Length) -> Tensor:
    """Return what a file of heads keeps of a length, float32 [2]."""
    return torch.tensor([length.rate, length.centre])
