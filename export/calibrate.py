"""The temperature of `compare`, fitted on held-out human labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar


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
