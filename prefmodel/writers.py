"""Who wrote the answers of pairs: whether a scorer's scale differs for people and models, and how it ranks models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefmodel.errors import InputError, shown
from prefmodel.intervals import FLOAT, INT, Estimate, bootstrap, estimates, interval
from prefmodel.types import PreferencePair

HUMAN = "human"
"""The writer that is no model."""
UNKNOWN = "not said"
LABELS = "the labels"
"""Beside the scorers, in what is found by scorer."""
FEWEST_WRITERS = 3
"""Of fewer there is no ranking to speak of."""
FEWEST_PAIRS = 10
"""Of a writer that is ranked, with others that are."""


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
        pairs: by writer, how many it is compared in; the one that the labels prefer most often comes first.
        shares: for `LABELS` and each scorer, by writer: the share of its pairs that it wins, ties counting half. It
            says most where all writers meet the same others equally often.
        agreement: for each scorer Spearman's rank correlation of its shares with those of the labels; `count` is the
            number of writers, the interval that of resampled questions. A scorer that ranks all alike has none.
    """

    pairs: Mapping[str, int]
    shares: Mapping[str, Mapping[str, float]]
    agreement: Mapping[str, Estimate]


def writers_of(pair: PreferencePair) -> tuple[str | None, str | None]:
    """Return who wrote chosen and rejected: the name of a model, "human", or None where the pair does not say.

    A pair says it in `chosen_by` and `rejected_by`; pairs of the axiom "strength" do in a list `models`.

    Raises:
        InputError: a name is no text.

    >>> row = {"question": "Why?", "chosen": "x", "rejected": "y", "chosen_by": "Human", "rejected_by": "small-model"}
    >>> writers_of(PreferencePair.from_dict(row))
    ('human', 'small-model')
    """
    told = pair.provenance
    own, models = [told.get("chosen_by"), told.get("rejected_by")], told.get("models")
    if own == [None, None] and isinstance(models, list | tuple) and len(models) == 2:
        return _name("models", models[0]), _name("models", models[1])
    return _name("chosen_by", own[0]), _name("rejected_by", own[1])


def _name(field: str, value: object) -> str | None:
    """Return the name of a writer, None for none; raise InputError for what is no text."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InputError(f"{field} is {shown(value)}; allowed: the name of a model, human, or none")
    name = value.strip()
    return HUMAN if name.lower() == HUMAN else name or None


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
    return f"{kinds[0]} and {kinds[1]}" if kinds[0] != kinds[1] else f"{kinds[0]} alone"


def prefers_human(
    pairs: Sequence[PreferencePair], correct: Mapping[str, FLOAT], clusters: INT, seed: int = 0
) -> dict[str, Estimate]:
    """Return how often labels and scorers prefer the person in pairs of a person and a model; nothing without such.

    Args:
        pairs: those that were labelled.
        correct: for each scorer, float64 [pairs]: 1 where it prefers chosen, .5 for a tie, else 0.
        clusters: int64 [pairs], the number of the question.
        seed: of the intervals.

    >>> row = {"question": "Why?", "chosen": "x", "rejected": "y", "chosen_by": "small-model", "rejected_by": "human"}
    >>> found = prefers_human([PreferencePair.from_dict(row)], {"model": np.zeros(1)}, np.zeros(1, np.int64))
    >>> found["the labels"].value, found["model"].value
    (0.0, 1.0)
    """
    kinds = [tuple(map(kind_of, writers_of(pair))) for pair in pairs]
    first = np.array([side == (HUMAN, "model") for side in kinds], np.bool_)
    where = first | np.array([side == ("model", HUMAN) for side in kinds], np.bool_)
    rows = {LABELS: np.ones(len(pairs)), **correct}
    return estimates({name: np.where(first, row, 1 - row) for name, row in rows.items()}, clusters, where, seed)


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

    Only writers with `FEWEST_PAIRS` pairs or more among themselves are ranked.

    Args:
        pairs: those that were labelled; pairs of the axiom "strength" were made from a ranking, and are left out.
        correct: for each scorer, float64 [pairs]: 1 where it prefers chosen, .5 for a tie, else 0.
        clusters: int64 [pairs], the number of the question.
        seed: of the intervals.

    >>> row = {"question": "Why?", "chosen": "x", "rejected": "y"}
    >>> made = [PreferencePair.from_dict({**row, "chosen_by": a, "rejected_by": b}) for a, b in ("ab", "bc", "ac")] * 9
    >>> found = writer_ranking(made, {"wise": np.ones(27), "wrong": np.zeros(27)}, np.arange(27))
    >>> found.shares["the labels"], found.agreement["wise"].value, found.agreement["wrong"].value
    ({'a': 1.0, 'b': 0.5, 'c': 0.0}, 1.0, -1.0)
    """
    sides = [(None, None) if pair.axiom == "strength" else writers_of(pair) for pair in pairs]
    known = np.array([one is not None and other is not None and one != other for one, other in sides], np.bool_)
    while known.any():  # without a writer of few pairs another may have too few
        played = Counter(name for i in np.flatnonzero(known) for name in sides[i])
        few = {name for name, count in played.items() if count < FEWEST_PAIRS}
        if not few:
            break
        known &= np.array([few.isdisjoint(side) for side in sides])
    own = [sides[i] for i in np.flatnonzero(known)]
    names = sorted({str(name) for side in own for name in side})
    if len(names) < FEWEST_WRITERS:
        return None
    number = {name: i for i, name in enumerate(names)}
    chosen, rejected = (np.array([number[str(side[place])] for side in own]) for place in (0, 1))
    rows = {LABELS: np.ones(len(own)), **{name: row[known] for name, row in correct.items()}}
    # For each writer and pair: whether it is in it, and how much of it labels and scorers give to it.
    given = [_to_writers(np.ones(len(own)), np.ones(len(own)), chosen, rejected, len(names))]
    given += [_to_writers(row, 1 - row, chosen, rejected, len(names)) for row in rows.values()]
    pairs_of = given[0].sum(axis=1)
    shares = {name: part.sum(axis=1) / pairs_of for name, part in zip(rows, given[1:], strict=True)}
    means = bootstrap(np.concatenate(given), clusters[known], seed).reshape(len(given), len(names), -1)
    with np.errstate(invalid="ignore"):  # a resample may leave a writer out
        drawn = dict(zip(rows, means[1:] / means[0], strict=True))
    agreement = {}
    for name in correct:
        value = _spearman(shares[LABELS], shares[name])
        if not np.isnan(value):
            resampled = np.array([_spearman(*both) for both in zip(drawn[LABELS].T, drawn[name].T, strict=True)])
            kept = resampled[~np.isnan(resampled)]  # those in which nobody is missing
            ends = interval(kept) if len(kept) else (float("nan"), float("nan"))
            agreement[name] = Estimate(value, *ends, len(names))
    best = sorted(range(len(names)), key=lambda i: -shares[LABELS][i])
    return WriterRanking(
        {names[i]: int(pairs_of[i]) for i in best},
        {name: {names[i]: float(values[i]) for i in best} for name, values in shares.items()},
        agreement,
    )


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
