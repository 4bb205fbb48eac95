"""Shares with bootstrap intervals that respect which values belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefmodel.errors import InputError

FLOAT = NDArray[np.float64]
INT = NDArray[np.int64]
BOOL = NDArray[np.bool_]

_CELLS = 1_000_000  # weights held at once: a few arrays of 8 MB


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share, or a difference of shares, with its 95% interval.

    Args:
        value: the share.
        low: lower end of the interval; NaN if there is only one question, which says nothing of others.
        high: upper end, likewise.
        count: what it is a share of: pairs, or files for a mean of files.
    """

    value: float
    low: float
    high: float
    count: int


def estimates(values: Mapping[str, FLOAT], clusters: INT, where: BOOL, seed: int) -> dict[str, Estimate]:
    """Return the mean of each row where `where` holds, with its interval; nothing if it holds nowhere."""
    count = int(where.sum())
    if not count:
        return {}
    chosen = np.stack([row[where] for row in values.values()])
    means = bootstrap(chosen, clusters[where], seed)
    return {name: Estimate(float(chosen[i].mean()), *interval(means[i]), count) for i, name in enumerate(values)}


def bootstrap(values: FLOAT, clusters: INT, seed: int | Sequence[int] = 0, samples: int = 2000) -> FLOAT:
    """Return the means of `values` in resamples of whole clusters with replacement, float64 [rows, samples].

    All rows see the same resamples, so differences between rows are paired. A resample's mean is the sum of its
    values by the number of them (a ratio, since clusters differ in size).

    Args:
        values: [rows, n].
        clusters: [n], what each value belongs to.
        seed: the same seed, values and clusters give the same means, in whatever order the n come.
        samples: resamples.

    Returns:
        NaN everywhere if there are fewer than two clusters: their spread is unknown.
    """
    _, cluster = np.unique(clusters, return_inverse=True)
    number = int(cluster.max(initial=-1)) + 1
    if number < 2:
        return np.full((len(values), samples), np.nan)
    sums = np.stack([np.bincount(cluster, row, number) for row in values])
    sizes = np.bincount(cluster, minlength=number).astype(np.float64)
    random = np.random.default_rng(seed)
    means = []
    for start in range(0, samples, chunk := max(1, _CELLS // number)):
        some = min(chunk, samples - start)
        drawn = random.integers(number, size=(some, number)) + np.arange(some)[:, None] * number
        weights = np.bincount(drawn.ravel(), minlength=some * number).reshape(some, number).astype(np.float64)
        means.append((sums @ weights.T) / (weights @ sizes))
    return np.concatenate(means, axis=1)


def clustered_interval(
    correct: ArrayLike, clusters: ArrayLike, seed: int | Sequence[int] = 0, samples: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean of `correct`, with whole clusters resampled.

    Pairs that share a question rise and fall together, so an interval over single pairs would be too narrow. Where
    all are right (or wrong) the interval has no width; with few questions it is too narrow still.

    Args:
        correct: share of right for each pair, [n].
        clusters: the question of each pair, [n].
        seed: of the resamples.
        samples: resamples.
        level: share of resamples inside the interval, between 0 and 1.

    Returns:
        low and high, both NaN if there are fewer than two clusters.

    Raises:
        InputError: lengths differ, `level` or `samples` is out of range.

    >>> low, high = clustered_interval([1, 1, 0, 1, 0, 1], clusters=[0, 0, 1, 1, 2, 2])
    >>> low < 4 / 6 < high
    True
    """
    values, labels = np.asarray(correct, np.float64), np.asarray(clusters)
    if values.ndim != 1 or values.shape != labels.shape:
        raise InputError(f"correct has shape {values.shape}, clusters {labels.shape}; allowed: the same, [n]")
    if not 0 < level < 1:
        raise InputError(f"level is {level}; allowed: between 0 and 1")
    if samples < 1:
        raise InputError(f"samples is {samples}; allowed: 1 or more")
    return interval(bootstrap(values[None], labels, seed, samples)[0], level)


def interval(means: FLOAT, level: float = 0.95) -> tuple[float, float]:
    """Return the percentiles that leave (1 - level) / 2 of the resampled `means` on either side."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
