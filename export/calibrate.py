"""The temperature of `compare`, and what length is worth, fitted on held-out human labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from prefmodel.errors import InputError

FLOAT = NDArray[np.float32]

LOWEST, HIGHEST = 0.05, 100.0
"""Between these a temperature is looked for."""
FEW = 100
"""With fewer labels the prior counts."""


def fit_temperature(margins: FLOAT, targets: FLOAT | None = None) -> float:
    """Return the temperature T, in logits, that makes sigmoid(margin / T) likeliest for human labels.

    With p = sigmoid(margin / T) it minimises, over T from 0.05 to 100, the sum of

        -target * log p - (1 - target) * log (1 - p)

    (Guo et al., arXiv 1706.04599, section 4.2) and, once, (log T)^2 / 4: a normal prior on log T, about the 1 that a
    Bradley-Terry loss aims at. Without it, a few labels that the scores all get right would make T as low as is
    allowed, and every answer of `compare` sure. Some hundred labels outweigh it.

    Args:
        margins: score of the chosen answer, less the score of the rejected one, float32 [pairs].
        targets: share of people who preferred the chosen answer, float32 [pairs]; by default all.

    >>> margins = np.array([2.0, 2.0, 2.0, -2.0] * 200, np.float32)  # right three times of four: odds of 3 to 1
    >>> round(fit_temperature(margins), 2)  # 2 / ln 3
    1.82
    >>> round(fit_temperature(np.full(800, 2.0, np.float32), np.full(800, 0.75, np.float32)), 2)
    1.82
    >>> 0.5 < fit_temperature(np.full(5, 3.0, np.float32)) < 1
    True
    """
    wide, shares = margins.astype(np.float64), _shares(margins, targets)

    def cost(log_t: float) -> float:
        return float(_surprise(wide / np.exp(log_t), shares).sum() + log_t**2 / 4)

    bounds = (np.log(LOWEST), np.log(HIGHEST))
    return float(np.exp(minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))


def doubt(temperature: float, labels: int) -> str:
    """Return what speaks against a temperature that was fitted on so many labels, "" for nothing.

    >>> doubt(0.6, labels=5)
    ', which are few: it leans towards 1'
    >>> doubt(2.0, labels=1000)
    ''
    """
    if labels < FEW:
        return ", which are few: it leans towards 1"
    return ", which the scores agree with no better than chance does" if temperature > 0.99 * HIGHEST else ""


def fit_length(margins: FLOAT, log_ratios: FLOAT, targets: FLOAT | None = None) -> float:
    """Return the rate r that makes sigmoid((margin + r * log ratio) / T) likeliest, in logits an e-fold of tokens.

    The temperature T is fitted along with it, so that r says what length adds to what the scores know.

    Args:
        margins: score of the chosen answer, less the score of the rejected one, float32 [pairs].
        log_ratios: natural logarithm of the tokens of the chosen answer by those of the rejected one, float32 [pairs].
        targets: share of people who preferred the chosen answer, float32 [pairs]; by default all.

    Raises:
        InputError: the margins say nothing of the labels, so that there is no unit to measure length in.

    >>> margins = np.array([1.0, 1.0, 1.0, -1.0], np.float32)
    >>> fit_length(margins, np.zeros(4, np.float32))
    0.0
    >>> longer = np.array([1.0, 1.0, -1.0, 1.0], np.float32)
    >>> ratios = np.concatenate([longer, longer * 0.5])
    >>> rate = fit_length(np.tile(margins, 2), ratios)
    >>> rate > 0
    True
    >>> abs(fit_length(np.tile(-margins, 2), -ratios, np.zeros(8, np.float32)) - rate) < 0.001  # the sides swapped
    True
    """
    known, shares = np.stack([margins, log_ratios], 1).astype(np.float64), _shares(margins, targets)

    def cost(weights: NDArray[np.float64]) -> float:
        # The small square keeps weights finite where one of the two tells all labels.
        return float(_surprise(known @ weights, shares).mean() + 1e-4 * (weights**2).sum())

    score, length = minimize(cost, np.array([1.0, 0.0])).x
    if score <= 1e-3:
        raise InputError(
            "the scores say nothing of the held-out human labels; allowed: a model that does, or no length"
        )
    return round(float(length / score), 4) + 0.0


def _shares(margins: FLOAT, targets: FLOAT | None) -> NDArray[np.float64]:
    return np.ones(len(margins)) if targets is None else targets.astype(np.float64)


def _surprise(odds: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each label, where the log odds of the chosen answer are given."""
    cost: NDArray[np.float64] = targets * np.logaddexp(0, -odds) + (1 - targets) * np.logaddexp(0, odds)
    return cost
