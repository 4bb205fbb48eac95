"""Who wrote the answers of pairs: whether a scorer's scale differs for people and models, and how it ranks models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefmodel.intervals import FLOAT, INT, Estimate, bootstrap, interval
from prefmodel.types import PreferencePair

HUMAN = "human"
"""The writer that is no model."""
UNKNOWN = "not said"
FEWEST_WRITERS = 3
"""Of fewer there is no ranking to speak of."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the scores of some answers lie, in the scorer's unit.

    Args:
        answers: how many, each counted once.
        mean: of their scores.
        deviation: standard deviation of their scores.
        low: a twentieth of the scores lies below.
        high: a twentieth lies above.
    """

    answers: int
    mean: float
    deviation: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class WriterRanking:
    """How alike scorers and labels rank the writers of answers, as benchmarks rank models.

    Args:
        writers: by name, the share of labelled comparisons that they won, best first.
        agreement: for each scorer Spearman's rank correlation of that with the comparisons that the scorer gives
            them; `count` is the number of writers, the interval that of resampled questions.
    """

    writers: Mapping[str, float]
    agreement: Mapping[str, Estimate]


def writers_of(pair: PreferencePair) -> tuple[str | None, str | None]:
    """Return who wrote chosen and rejected: the name of a model, "human", or None where the pair does not say.

    A pair says it in `chosen_by` and `rejected_by`, or in `models`.

    >>> row = {"question": "Why?", "chosen": "x", "rejected": "y", "chosen_by": "human", "rejected_by": "small-model"}
    >>> writers_of(PreferencePair.from_dict(row))
    ('human', 'small-model')
    """
    told = pair.provenance
    names = told.get("models", [told.get("chosen_by"), told.get("rejected_by")])
    if not isinstance(names, Sequence) or len(names) != 2:
        return None, None
    chosen, rejected = (str(name) if name else None for name in names)
    return chosen, rejected


def kind_of(writer: str | None) -> str:
    """Return "human", "model" or "not said".

    >>> kind_of("small-model"), kind_of(None)
    ('model', 'not said')
    """
    return UNKNOWN if writer is None else HUMAN if writer == HUMAN else "model"


def versus(pair: PreferencePair) -> str:
    """Return between whom a pair is, whichever of them was chosen.

    >>> versus(PreferencePair.from_dict({"question": "Why?", "chosen": "x", "rejected": "y", "chosen_by": "big",
    ...                                  "rejected_by": "human"}))
    'human and model'
    """
    kinds = sorted(map(kind_of, writers_of(pair)))
    return f"{kinds[0]} and {kinds[1]}" if kinds[0] != kinds[1] else f"both {kinds[0]}"


def scales(scores: FLOAT, kinds: Sequence[str]) -> dict[str, Scale]:
    """Return where the scores of each kind of writer lie.

    Scores compare within a question, so a distance between kinds may come from their questions, unless both answer
    the same ones.

    Args:
        scores: float64 [answers].
        kinds: of who wrote each.

    >>> scales(np.array([1.0, 3.0]), ["human", "human"])["human"].mean
    2.0
    """
    column = np.array(kinds)
    found = {}
    for kind in sorted(set(kinds)):
        own = np.sort(scores[column == kind])  # so that sums do not depend on the order of the answers
        low, high = np.quantile(own, [0.05, 0.95])
        found[kind] = Scale(len(own), float(own.mean()), float(own.std()), float(low), float(high))
    return found


def writer_ranking(
    pairs: Sequence[PreferencePair], correct: Mapping[str, FLOAT], clusters: INT, seed: int = 0
) -> WriterRanking | None:
    """Return how alike scorers and labels rank the writers, or None for pairs of fewer than three known ones.

    Source: rank correlation of systems, as of benchmarks with human ratings, Chiang et al., arXiv 2403.04132.

    Args:
        pairs: those that were labelled.
        correct: for each scorer, float64 [pairs]: 1 where it prefers chosen, .5 for a tie, else 0.
        clusters: int64 [pairs], the number of the question.
        seed: of the intervals.

    >>> row = {"question": "Why?", "chosen": "x", "rejected": "y"}
    >>> made = [PreferencePair.from_dict({**row, "chosen_by": a, "rejected_by": b}) for a, b in ("ab", "bc", "ac")]
    >>> found = writer_ranking(made, {"wise": np.ones(3), "wrong": np.zeros(3)}, np.arange(3))
    >>> list(found.writers), found.agreement["wise"].value, found.agreement["wrong"].value
    (['a', 'b', 'c'], 1.0, -1.0)
    """
    sides = [writers_of(pair) for pair in pairs]
    known = np.array([None not in side and side[0] != side[1] for side in sides])
    names = sorted({name for side, yes in zip(sides, known, strict=True) if yes for name in side if name})
    if len(names) < FEWEST_WRITERS:
        return None
    number = {name: i for i, name in enumerate(names)}
    own = [side for side, yes in zip(sides, known, strict=True) if yes]
    chosen, rejected = (np.array([number[str(side[place])] for side in own]) for place in (0, 1))
    # Rows of how much a pair gives to each writer: comparisons, those won by the labels, and those won by each scorer.
    given = [np.ones(len(own)), *(row[known] for row in correct.values())]
    played = _to_writers(np.ones(len(own)), np.ones(len(own)), chosen, rejected, len(names))
    won = [_to_writers(right, 1 - right, chosen, rejected, len(names)) for right in given]
    clusters = clusters[known]
    total = played.sum(axis=1)
    shares = [rows.sum(axis=1) / total for rows in won]
    stacked = np.concatenate([played, *won])
    means = bootstrap(stacked, clusters, seed).reshape(len(won) + 1, len(names), -1)
    with np.errstate(invalid="ignore"):  # a resample may leave a writer out
        drawn = means[1:] / means[0]
    agreement = {}
    for i, name in enumerate(correct, start=1):
        resampled = np.array([_spearman(drawn[0, :, k], drawn[i, :, k]) for k in range(drawn.shape[2])])
        kept = resampled[~np.isnan(resampled)]
        ends = interval(kept) if len(kept) else (float("nan"), float("nan"))
        agreement[name] = Estimate(_spearman(shares[0], shares[i]), *ends, len(names))
    best = sorted(range(len(names)), key=lambda i: -shares[0][i])
    return WriterRanking({names[i]: float(shares[0][i]) for i in best}, agreement)


def _to_writers(to_chosen: FLOAT, to_rejected: FLOAT, chosen: INT, rejected: INT, count: int) -> FLOAT:
    """Return what each pair gives to each writer, float64 [writers, pairs]."""
    given = np.zeros((count, len(chosen)))
    places = np.arange(len(chosen))
    given[chosen, places] = to_chosen
    given[rejected, places] = to_rejected
    return given


def _spearman(one: FLOAT, other: FLOAT) -> float:
    """Return the correlation of ranks, equal values sharing theirs; NaN where one is constant or unknown."""
    if np.isnan(one).any() or np.isnan(other).any():
        return float("nan")
    ranks = [_ranks(values) for values in (one, other)]
    if any(np.ptp(values) == 0 for values in ranks):
        return float("nan")
    matrix: FLOAT = np.asarray(np.corrcoef(np.stack(ranks)))
    return float(matrix[0, 1])


def _ranks(values: FLOAT) -> FLOAT:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    return np.asarray((ends - (count - 1) / 2)[place], np.float64)
