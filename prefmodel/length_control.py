"""How often a scorer would be right if both answers were equally long: length taken out by a logistic regression."""

from __future__ import annotations

import math

import numpy as np

from prefmodel.intervals import FLOAT, INT, Estimate

RIDGE = 1e-3
"""Weight of the squared coefficients: keeps them finite where length alone tells right from wrong."""
STEPS = 50
Z = 1.959964
"""Standard errors on either side of a 95% interval."""


def length_controlled(correct: FLOAT, ratio: FLOAT, clusters: INT) -> Estimate:
    """Return the accuracy that a logistic regression on length says for answers of equal length.

    The regression is `P(right) = sigmoid(a + b * ratio)`, so that the accuracy is `sigmoid(a)`: for "the longer answer"
    it is .5, for a scorer that does not mind length what it is anyway. The interval comes from the cluster-robust
    standard error of `a`, with a cluster for each question.

    Source: length as a covariate of a logistic regression, Dubois et al., arXiv 2404.04475; the error: Liang & Zeger,
    Biometrika 73, 1986.

    Args:
        correct: 1 where the chosen answer scored higher, .5 for a tie, else 0, float64 [pairs].
        ratio: log of the length of chosen by that of rejected, float64 [pairs].
        clusters: number of the question, int64 [pairs].

    Returns:
        The estimate; its ends are NaN for fewer than two questions.

    >>> right, log_ratio = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.5, 0.2, -0.2, -0.5])  # the longer answer
    >>> round(length_controlled(right, log_ratio, np.arange(4)).value, 3)
    0.5
    """
    order = np.lexsort((clusters, correct, ratio))  # so that sums do not depend on the order of the pairs
    correct, ratio, clusters = correct[order], ratio[order], clusters[order]
    features = np.stack([np.ones_like(ratio), ratio], axis=1)
    beta = np.zeros(2)
    for _ in range(STEPS):
        expected = _sigmoid(features @ beta)
        gradient = features.T @ (correct - expected) - RIDGE * beta
        curvature = _curvature(features, expected)
        step = np.linalg.solve(curvature, gradient)
        beta += step / max(1.0, float(np.abs(step).max()))  # a long step may overshoot
        if np.abs(step).max() < 1e-9:
            break
    expected = _sigmoid(features @ beta)
    labels, places = np.unique(clusters, return_inverse=True)
    low = high = math.nan
    if len(labels) > 1:
        parts = np.zeros((len(labels), 2))
        np.add.at(parts, places.reshape(-1), features * (correct - expected)[:, None])
        bread = np.linalg.inv(_curvature(features, expected))
        error = math.sqrt((bread @ (parts.T @ parts) @ bread)[0, 0] * len(labels) / (len(labels) - 1))
        low, high = (float(_sigmoid(np.array(beta[0] + sign * Z * error))) for sign in (-1, 1))
    return Estimate(float(_sigmoid(beta[:1])[0]), low, high, len(correct))


def _curvature(features: FLOAT, expected: FLOAT) -> FLOAT:
    weight = expected * (1 - expected)
    found: FLOAT = (features * weight[:, None]).T @ features + RIDGE * np.eye(2)
    return found


def _sigmoid(values: FLOAT) -> FLOAT:
    found: FLOAT = 1 / (1 + np.exp(-np.clip(values, -60, 60)))
    return found
