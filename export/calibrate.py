"""The temperature of `compare`, and what length is worth, fitted on held-out human labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from prefmodel.errors import InputError


def fit_temperature(margins: NDArray[np.float32]) -> float:
    """Return the temperature T, in logits, that makes sigmoid(margin / T) likeliest for human labels.

    Minimises the mean of -log sigmoid(margin / T) (Guo et al., arXiv 1706.04599, section 4.2) over T from 0.05 to 100.

    Args:
        margins: score of the answer that people preferred, less the score of the other, float32 [pairs].

    >>> margins = np.array([2.0, 2.0, 2.0, -2.0], np.float32)  # right three times of four: odds of 3 to 1
    >>> round(fit_temperature(margins), 2)  # 2 / ln 3
    1.82
    """
    found = minimize_scalar(
        lambda log_t: np.logaddexp(0, -margins.astype(np.float64) / np.exp(log_t)).mean(),
        bounds=(np.log(0.05), np.log(100.0)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def fit_length(margins: NDArray[np.float32], log_ratios: NDArray[np.float32]) -> float:
    """Return the rate r that makes sigmoid((margin + r * log ratio) / T) likeliest, in logits an e-fold of tokens.

    The temperature T is fitted along with it, so that r says what length adds to what the scores know.

    Args:
        margins: score of the answer that people preferred, less the score of the other, float32 [pairs].
        log_ratios: natural logarithm of the tokens of that answer by those of the other, float32 [pairs].

    Raises:
        InputError: the margins say nothing of the labels, so that there is no unit to measure length in.

    >>> margins = np.array([1.0, 1.0, 1.0, -1.0], np.float32)
    >>> fit_length(margins, np.zeros(4, np.float32))
    0.0
    >>> longer = np.array([1.0, 1.0, -1.0, 1.0], np.float32)
    >>> round(fit_length(np.tile(margins, 2), np.concatenate([longer, longer * 0.5])), 2) > 0
    True
    """
    known = np.stack([margins, log_ratios], 1).astype(np.float64)

    def cost(weights: NDArray[np.float64]) -> float:
        # The small square keeps weights finite where one of the two tells all labels.
        return float(np.logaddexp(0, -known @ weights).mean() + 1e-4 * (weights**2).sum())

    score, length = minimize(cost, np.array([1.0, 0.0])).x
    if score <= 1e-3:
        raise InputError(
            "the scores say nothing of the held-out human labels; allowed: a model that does, or no length"
        )
    return round(float(length / score), 4) + 0.0
