"""Ratings of language models, learned from who was preferred to whom: Bradley-Terry on an Elo scale."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from prefmodel.errors import InputError, shown
from prefmodel.types import PreferencePair, Thread
from prefmodel.writers import writers_of

SCALE = 400 / math.log(10)
"""Elo points in a logit: 400 points are odds of 10 to 1."""

Comparison = tuple[str, str, float]
"""A model, another model, and the share of the win that the first has: 1, 0, or between for a draw or a soft label."""

_STEPS = 100
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Rating:
    """How strong a model is.

    Args:
        elo: points; only differences matter.
        error: standard error, points; the deviation of the prior where there is no comparison.
        comparisons: how many the model has.
    """

    elo: float
    error: float
    comparisons: int


def fit_ratings(
    comparisons: Iterable[Comparison], prior: Mapping[str, float] | None = None, deviation: float = 200.0
) -> dict[str, Rating]:
    """Return the ratings that explain the comparisons best, drawn towards a prior.

    The penalised likelihood is concave, so Newton's method finds its one maximum; the errors come from its curvature.

    Args:
        comparisons: (model, other model, share of the win), for example ("a", "b", 1.0). None of an evaluation file.
        prior: model to rating, points; a model without one starts from the mean of the prior, or 1000.
        deviation: standard deviation of the prior, points.

    Returns:
        All models of the comparisons and of the prior; those without comparisons keep their prior.

    Raises:
        InputError: a model is compared with itself, a share is not between 0 and 1, or `deviation` is not above 0.

    Source: Bradley and Terry, 1952.

    >>> found = fit_ratings([("big", "small", 1.0)] * 3 + [("big", "small", 0.0)])
    >>> found["big"].elo > 1000 > found["small"].elo, found["big"].comparisons
    (True, 4)
    """
    if not 0 < deviation < math.inf:
        raise InputError(f"deviation is {shown(deviation)}; allowed: a number above 0")
    known = dict(prior or {})
    middle = sum(known.values()) / len(known) if known else 1000.0
    games = list(comparisons)
    for one, other, won in games:
        if one == other or not 0 <= won <= 1:
            raise InputError(f"comparison is {shown((one, other, won))}; allowed: two models and a share from 0 to 1")
        known.setdefault(one, middle)
        known.setdefault(other, middle)
    index = {model: i for i, model in enumerate(known)}
    start = np.array(list(known.values())) / SCALE  # (models,) logits
    first = np.array([index[one] for one, _, _ in games], dtype=int)  # (games,)
    second = np.array([index[other] for _, other, _ in games], dtype=int)
    share = np.array([won for _, _, won in games])
    pull = (SCALE / deviation) ** 2
    rating = start.copy()
    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(rating[second] - rating[first]))
        gradient = pull * (start - rating)
        np.add.at(gradient, first, share - expected)
        np.add.at(gradient, second, expected - share)
        curvature = pull * np.eye(len(start))  # (models, models)
        weight = expected * (1 - expected)
        for rows, columns, sign in ((first, first, 1), (second, second, 1), (first, second, -1), (second, first, -1)):
            np.add.at(curvature, (rows, columns), sign * weight)
        # Far from the maximum a whole step may go too far; one logit at a time does not.
        step = np.clip(np.linalg.solve(curvature, gradient), -1, 1)
        rating = rating + step
        if np.abs(step).max(initial=0) < _CLOSE:
            break
    errors = SCALE * np.sqrt(np.diag(np.linalg.inv(curvature)))
    count = np.bincount(np.concatenate([first, second]), minlength=len(start))
    return {m: Rating(float(SCALE * rating[i]), float(errors[i]), int(count[i])) for m, i in index.items()}


def comparisons_of(items: Iterable[Thread | PreferencePair]) -> Iterator[Comparison]:
    """Yield who was preferred to whom, in pairs that name their models and in threads whose models have votes.

    A pair names its models in `chosen_by` and `rejected_by`, or in `models`. Pairs of the axiom "strength" were made
    from ratings and say nothing about them.

    >>> pair = PreferencePair.from_dict({"question": "Why?", "chosen": "x", "rejected": "y", "chosen_by": "big",
    ...                                  "rejected_by": "small"})
    >>> list(comparisons_of([pair]))
    [('big', 'small', 1.0)]
    """
    for item in items:
        if isinstance(item, PreferencePair):
            better, worse = writers_of(item)
            if item.axiom != "strength" and better and worse and better != worse:
                yield better, worse, item.target
        else:
            voted = [(a.model, a.votes) for a in item.answers if a.model is not None and a.votes is not None]
            for (one, votes), (other, others) in combinations(voted, 2):
                if one != other:
                    yield one, other, 0.5 + 0.5 * ((votes > others) - (votes < others))
