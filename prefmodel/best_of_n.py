"""Best of n: how good the answer is that a scorer picks among n, for files with several answers to a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from prefmodel.intervals import FLOAT, INT, Estimate, bootstrap, interval

FEWEST_ANSWERS = 3
"""To a question; of fewer there is little to pick from."""
FEWEST_QUESTIONS = 10
"""With that many answers, else there is no curve."""
IDEAL = "ideal"
"""The scorer that knows the labels: no other can do better."""


@dataclass(frozen=True, slots=True)
class BestOfN:
    """Curves over one set of questions.

    Args:
        questions: so many have as many answers as the largest n, or more.
        curves: for each scorer, and for `IDEAL`, an estimate for n = 1, 2, …; `count` is the number of questions.
    """

    questions: int
    curves: Mapping[str, Sequence[Estimate]]


def best_of_n(scores: Mapping[str, FLOAT], chosen: INT, rejected: INT, questions: INT, seed: int = 0) -> BestOfN | None:
    """Return how good the answer is that each scorer picks among n random ones of a question, for n from 1 up.

    How good an answer is: the share of its own labelled comparisons that it won, so that .5 is an answer like the
    others. The mean over all choices of n of a question's answers is exact; equal scores are drawn among. The largest n
    is what at least half of the questions with 3 answers or more have; the curves are of the questions that have it.

    Args:
        scores: of each scorer, float64 [answers].
        chosen: number of the preferred answer, int64 [pairs].
        rejected: of the other one, likewise.
        questions: number of the question of each answer, int64 [answers].
        seed: of the intervals, which are bootstraps over questions.

    Returns:
        None if there are fewer than 10 such questions.

    >>> one = np.array([0, 0, 1]), np.array([1, 2, 2])  # answer 0 beats 1 and 2, answer 1 beats 2
    >>> chosen, rejected = (np.concatenate([side + 3 * i for i in range(10)]) for side in one)
    >>> found = best_of_n({"right": -np.arange(30.0)}, chosen, rejected, np.arange(30) // 3)
    >>> [round(e.value, 2) for e in found.curves["right"]]
    [0.5, 0.83, 1.0]
    """
    won, lost = (np.bincount(side, minlength=len(questions)) for side in (chosen, rejected))
    quality = won / np.maximum(won + lost, 1)
    answers = np.bincount(questions)
    several = answers[answers >= FEWEST_ANSWERS]
    if len(several) < FEWEST_QUESTIONS:
        return None
    most = int(np.quantile(several, 0.5, method="lower"))
    kept = np.flatnonzero(answers >= most)
    members = [np.flatnonzero(questions == question) for question in kept]
    curves = {}
    for name, own in {**scores, IDEAL: quality}.items():
        values = np.stack([_picked(own[those], quality[those], most) for those in members], axis=1)  # [most, questions]
        means = bootstrap(values, np.arange(len(kept)), seed)
        curves[name] = [Estimate(float(row.mean()), *interval(means[i]), len(kept)) for i, row in enumerate(values)]
    return BestOfN(len(kept), curves)


def _picked(scores: FLOAT, quality: FLOAT, most: int) -> FLOAT:
    """Return the mean quality of the best-scored of n answers, for n from 1 to `most`, over all choices of n."""
    _, tied = np.unique(-scores, return_inverse=True)
    # Where scores are equal each is picked as often: all count as their mean.
    quality = (np.bincount(tied, quality) / np.bincount(tied))[tied][np.argsort(-scores, kind="stable")]
    count = len(scores)
    ways = np.array(
        [[comb(count - 1 - rank, n - 1) / comb(count, n) for rank in range(count)] for n in range(1, most + 1)]
    )
    return np.asarray(ways @ quality, np.float64)
