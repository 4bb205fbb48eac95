"""How far a graph is from the torch model, on real pairs, and the gate that a reduced-precision graph has to pass."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefmodel.errors import PrefModelError

FLOAT = NDArray[np.float32]

SMALLEST = 1000
"""Pairs that the gate asks for at least."""
MOST_FLIPPED = 0.02
LOWEST_TAU = 0.97
CLEAR = 0.2
"""A pair is clear if its margin is at least so many temperatures, that is a probability outside .45 to .55."""


@dataclass(frozen=True, slots=True)
class Parity:
    """A graph beside the torch model on the same pairs.

    Args:
        pairs: how many.
        max_difference: largest difference of a score, logits.
        mean_difference: mean absolute difference of a score, logits.
        tau: Kendall's tau-b between the two models' scores of all answers.
        clear: how many pairs the torch model finds clear.
        flipped: share of the clear pairs whose order the graph turns round.
        accuracy: pairwise accuracy of the torch model.
        accuracy_change: pairwise accuracy of the graph, less that of the torch model.
        accuracy_loss_bound: the loss of accuracy is below this with 95% confidence (one-sided, normal).
    """

    pairs: int
    max_difference: float
    mean_difference: float
    tau: float
    clear: int
    flipped: float
    accuracy: float
    accuracy_change: float
    accuracy_loss_bound: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, rounded to five decimals."""
        return {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(self).items()}

    def __str__(self) -> str:
        parts = [
            f"largest difference {self.max_difference:.4f} logits (mean {self.mean_difference:.4f})",
            f"Kendall tau {self.tau:.4f}",
            f"{self.flipped:.2%} of {self.clear} clear pairs flipped",
            f"accuracy {self.accuracy:.4f} {self.accuracy_change:+.4f}",
            f"loss below {self.accuracy_loss_bound:.4f} at 95%",
        ]
        return f"{self.pairs} pairs: " + ", ".join(parts)


def parity(torch_scores: FLOAT, graph_scores: FLOAT, temperature: float) -> Parity:
    """Compare scores of the two models.

    Args:
        torch_scores: float32 [2, pairs], the scores of the chosen and of the rejected answers.
        graph_scores: the same from the graph.
        temperature: logits; it says which pairs are clear.

    >>> scores = np.array([[1.0, 2.0, 3.0], [0.0, 2.5, -1.0]], np.float32)
    >>> result = parity(scores, scores, temperature=1.0)
    >>> result.tau, result.flipped, result.accuracy_change
    (1.0, 0.0, 0.0)
    """
    from scipy.stats import kendalltau

    difference = np.abs(torch_scores - graph_scores)
    margin, other = torch_scores[0] - torch_scores[1], graph_scores[0] - graph_scores[1]
    clear = np.abs(margin) >= CLEAR * temperature
    right, right_other = (margin > 0) + 0.5 * (margin == 0), (other > 0) + 0.5 * (other == 0)
    change = right_other - right
    error = float(change.std()) / max(1, len(change)) ** 0.5
    return Parity(
        pairs=torch_scores.shape[1],
        max_difference=float(difference.max()),
        mean_difference=float(difference.mean()),
        tau=float(kendalltau(torch_scores.ravel(), graph_scores.ravel()).statistic),
        clear=int(clear.sum()),
        flipped=float(((margin > 0) != (other > 0))[clear].mean()) if clear.any() else 0.0,
        accuracy=float(right.mean()),
        accuracy_change=float(change.mean()),
        accuracy_loss_bound=float(-change.mean() + 1.645 * error),
    )


def check_pairs(pairs: int) -> None:
    """Raise PrefModelError if so few pairs cannot tell whether a reduced-precision graph is close."""
    if pairs < SMALLEST:
        allowed = f"at least {SMALLEST}, or --precision float32 alone"
        raise PrefModelError(f"parity is measured on {pairs} pairs; allowed: {allowed}")


def check(result: Parity, precision: str = "int8") -> None:
    """Raise PrefModelError if a reduced-precision graph is too far from the torch model, or there are too few pairs."""
    check_pairs(result.pairs)
    if result.flipped > MOST_FLIPPED:
        share = f"{result.flipped:.2%} of the clear pairs"
        raise PrefModelError(f"{precision} flips {share}; allowed: at most {MOST_FLIPPED:.0%}")
    if not result.tau >= LOWEST_TAU:
        raise PrefModelError(f"{precision} has a Kendall tau of {result.tau:.4f}; allowed: at least {LOWEST_TAU}")
