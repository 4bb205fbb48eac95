"""Whether a probability is what it says: of answers that are told to be better with .8, are four of five better?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prefmodel.intervals import FLOAT, INT, Estimate, clustered_interval

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Pairs with about the same confidence.

    Args:
        confidence: their mean probability of the answer that scored higher, .5 to 1.
        accuracy: how often that answer is the chosen one; `count` is the number of pairs.
    """

    confidence: float
    accuracy: Estimate


@dataclass(frozen=True)
class Calibration:
    """How far confidence is from accuracy.

    Args:
        temperature: logits by which margins are divided before they become probabilities.
        error: expected calibration error: mean distance of confidence from accuracy over the bins, weighted by pairs.
        bins: those that are not empty, from unsure to sure.
    """

    temperature: float
    error: float
    bins: Sequence[Bin]


def calibration(margins: FLOAT, clusters: INT, temperature: float = 1.0, seed: int = 0) -> Calibration:
    """Compare the probabilities of a model with how often it is right.

    Source: expected calibration error with bins of equal width, Guo et al., arXiv 1706.04599, eq. 3.

    Args:
        margins: score of chosen minus score of rejected, logits [pairs].
        clusters: number of the question, [pairs].
        temperature: logits, above 0.
        seed: of the intervals.

    >>> found = calibration(np.array([2.0, 2.0, -2.0, 2.0]), np.arange(4))
    >>> [(round(b.confidence, 2), b.accuracy.value) for b in found.bins], round(found.error, 2)
    ([(0.88, 0.75)], 0.13)
    """
    order = np.lexsort((clusters, margins))  # so that sums do not depend on the order of the pairs
    margins, clusters = margins[order], clusters[order]
    confidence = 1 / (1 + np.exp(-np.minimum(np.abs(margins) / temperature, 60)))
    right = np.where(margins > 0, 1.0, np.where(margins == 0, 0.5, 0.0))
    place = np.minimum((confidence - 0.5) * 2 * BINS, BINS - 1).astype(np.int64)
    bins, error = [], 0.0
    for number in np.unique(place):
        own = place == number
        mean, share = float(confidence[own].mean()), float(right[own].mean())
        low, high = clustered_interval(right[own], clusters[own], seed)
        bins.append(Bin(mean, Estimate(share, low, high, int(own.sum()))))
        error += abs(mean - share) * float(own.mean())
    return Calibration(temperature, error, bins)
