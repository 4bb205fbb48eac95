"""How often scorers agree with the labels of preference pairs, with intervals that respect what repeats a question."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from prefmodel.best_of_n import BestOfN, best_of_n
from prefmodel.calibration import Calibration, calibration
from prefmodel.errors import InputError, shown
from prefmodel.intervals import BOOL, FLOAT, INT, Estimate, bootstrap, clustered_interval, estimates, interval
from prefmodel.length_control import length_controlled
from prefmodel.splits import question_text
from prefmodel.types import PreferencePair, Question
from prefmodel.writers import (
    UNKNOWN,
    Scale,
    WriterRanking,
    kind_of,
    prefers_human,
    scales,
    versus,
    writer_ranking,
    writers_of,
)

if TYPE_CHECKING:
    from prefmodel.model import PreferenceModel

Scorer = Callable[[Sequence[Question], Sequence[str]], NDArray[np.float32]]
"""Gives each of n (question, answer) a score, float32 [n]; higher is better, comparable within a question."""

MATCHED_RATIO = (0.8, 1.25)
"""Characters of chosen to rejected within which two answers count as equally long."""

__all__ = [
    "MATCHED_RATIO",
    "Estimate",
    "FileResult",
    "PooledResult",
    "Scorer",
    "clustered_interval",
    "correctness",
    "evaluate_pairs",
    "length_matched",
    "pairwise_accuracy",
    "pool",
    "position",
]


@dataclass(frozen=True)
class FileResult:
    """What `evaluate_pairs` found; `count` of each estimate is its number of pairs.

    Args:
        pairs: pairs that were evaluated.
        questions: distinct questions among them.
        ignored: pairs left out because their target is .5 or less, so that no answer is labelled better.
        accuracy: for each scorer.
        matched: the same on length-matched pairs; empty when there are none.
        gpt4: how often GPT-4 as a judge agrees with the label, on the pairs that say it (`provenance["gpt4"]`).
        gpt4_matched: the same on length-matched pairs.
        by_axiom: axiom to scorer to accuracy; empty unless there are several axioms.
        by_principle: the same by principle, "general" for none.
        by_scenario: the same by scenario, for files whose pairs name several (`provenance["scenario"]`).
        by_cut: the same by how many tokens of the pair's longer answer the first scorer did not read; empty where it
            does not say, or cut none.
        by_writer: the same by whether people or models wrote the two answers; empty where all pairs are alike.
        prefers_human: how often the labels and each scorer prefer the person in pairs of a person and a model.
        scales: where the scores of the first scorer lie, by who wrote the answer; an answer of several pairs once, and
            by a person if one of them says so.
        ranking: how alike the scorers and the labels rank the writers; None with fewer than three.
        length_controlled: for each scorer, what a regression on length says for answers of equal length.
        best_of_n: how good the answer is that each scorer picks among n; None with too few answers to a question.
        correct: for each scorer, float64 [pairs]: 1 where chosen scored higher, .5 for a tie, else 0.
        clusters: int64 [pairs], the number of the question.
        is_matched: bool [pairs].
        margins: for each scorer, score of chosen minus score of rejected, float64 [pairs].
        ratio: log of the characters of chosen by those of rejected, float64 [pairs].
    """

    pairs: int
    questions: int
    ignored: int
    accuracy: Mapping[str, Estimate]
    matched: Mapping[str, Estimate]
    gpt4: Estimate | None
    gpt4_matched: Estimate | None
    by_axiom: Mapping[str, Mapping[str, Estimate]]
    by_principle: Mapping[str, Mapping[str, Estimate]]
    by_scenario: Mapping[str, Mapping[str, Estimate]]
    by_cut: Mapping[str, Mapping[str, Estimate]]
    by_writer: Mapping[str, Mapping[str, Estimate]]
    prefers_human: Mapping[str, Estimate]
    scales: Mapping[str, Scale]
    ranking: WriterRanking | None
    length_controlled: Mapping[str, Estimate]
    best_of_n: BestOfN | None
    correct: Mapping[str, FLOAT] = field(repr=False)
    clusters: INT = field(repr=False)
    is_matched: BOOL = field(repr=False)
    margins: Mapping[str, FLOAT] = field(repr=False)
    ratio: FLOAT = field(repr=False)


@dataclass(frozen=True)
class PooledResult:
    """Several files together; every mapping is by scorer.

    Args:
        macro: mean of the files' accuracies; its `count` is the number of files.
        accuracy: accuracy over the pairs of all files.
        matched: the same on length-matched pairs; empty when there are none.
        differences: macro of the first scorer minus macro of each other one, from the same resampled questions.
        length_controlled: what a regression on length says for answers of equal length, over the pairs of all files.
        calibrations: of the scorers whose temperature is known: at temperature 1 and at their own.
        positions: of models, how far a probability moves at most when two answers change places; see `position`.
    """

    macro: Mapping[str, Estimate]
    accuracy: Mapping[str, Estimate]
    matched: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]
    length_controlled: Mapping[str, Estimate]
    calibrations: Mapping[str, tuple[Calibration, Calibration]]
    positions: Mapping[str, float]


def correctness(margins: ArrayLike) -> FLOAT:
    """Return 1 for each margin above 0, .5 for each that is 0, else 0.

    Args:
        margins: score of chosen minus score of rejected, [n].

    Raises:
        InputError: there are no margins, or one is NaN.

    >>> correctness([2.5, 0.0, -1.0])
    array([1. , 0.5, 0. ])
    """
    values = np.asarray(margins)
    if values.size == 0:
        raise InputError("margins is empty; allowed: at least one number")
    if np.isnan(values).any():
        raise InputError(f"margins holds NaN at {int(np.isnan(values).argmax())}; allowed: numbers")
    return np.where(values > 0, 1.0, np.where(values == 0, 0.5, 0.0))


def pairwise_accuracy(margins: ArrayLike) -> float:
    """Return the share of margins above 0; ties count half. Arguments and errors as for `correctness`.

    >>> pairwise_accuracy([2.5, 0.0, -1.0, 3.0])
    0.625
    """
    return float(correctness(margins).mean())


def length_matched(pairs: Sequence[PreferencePair]) -> BOOL:
    """Return which pairs have answers of about equal length (see `MATCHED_RATIO`), bool [n].

    >>> one = PreferencePair("Why?", "a" * 10, "b" * 8, axiom="human", source="demo")
    >>> two = PreferencePair("Why?", "a" * 10, "b" * 7, axiom="human", source="demo")
    >>> length_matched([one, two])
    array([ True, False])
    """
    low, high = MATCHED_RATIO
    # Products, not a ratio: an empty answer must not divide by zero.
    return np.array([low * len(p.rejected) <= len(p.chosen) <= high * len(p.rejected) for p in pairs], np.bool_)


CUTS = {"nothing cut": 0, "1 to 128 tokens cut": 128, "129 to 512 tokens cut": 512, "more cut": math.inf}
"""Groups of pairs, and the most tokens of an answer that were not read."""


def evaluate_pairs(
    pairs: Sequence[PreferencePair],
    scorers: Mapping[str, Scorer],
    seed: int = 0,
    cut: Callable[[Question, str], int] | None = None,
) -> FileResult:
    """Score both answers of each pair once with each scorer and compare with the labels.

    Args:
        pairs: of one file; those with a target of .5 or less are counted and ignored.
        scorers: by name. Each is called once, with the distinct (question, answer) of the file.
        seed: of the bootstrap.
        cut: how many tokens of an answer the first scorer did not read; called when all is scored.

    Raises:
        InputError: no pair is left, no scorer is given, a scorer returns other than n numbers, or a `gpt4` is none.

    >>> from prefmodel.baselines import longer
    >>> pair = PreferencePair("Why?", "Because of x.", "No idea.", axiom="human", source="demo")
    >>> evaluate_pairs([pair], {"longer": longer}).accuracy["longer"].value
    1.0
    """
    kept = [pair for pair in pairs if pair.target > 0.5]
    if not kept:
        raise InputError(f"none of {len(pairs)} pairs has a target above .5; allowed: at least one")
    if not scorers:
        raise InputError("scorers is empty; allowed: at least one")
    clusters, is_matched = question_numbers(kept), length_matched(kept)
    gpt4 = np.array([_gpt4(pair) for pair in kept])  # like the writers, looked at before anything is scored
    sides = [versus(pair) for pair in kept]
    wrote = [name for pair in kept for name in writers_of(pair)]
    asked = [(pair.question, answer) for pair in kept for answer in (pair.chosen, pair.rejected)]
    number = {item: i for i, item in enumerate(dict.fromkeys(asked))}  # an answer of several pairs is scored once
    chosen, rejected = np.array([number[item] for item in asked], np.int64).reshape(-1, 2).T
    scores = {name: _scores(list(number), name, scorer) for name, scorer in scorers.items()}
    margins = {name: values[chosen] - values[rejected] for name, values in scores.items()}
    of_answer = np.zeros(len(number), np.int64)
    of_answer[chosen] = of_answer[rejected] = clusters
    correct = {name: correctness(values) for name, values in margins.items()}
    ratio = np.log([max(1, len(pair.chosen)) / max(1, len(pair.rejected)) for pair in kept])
    scenarios = [str(pair.provenance.get("scenario") or "none") for pair in kept]
    lost = [0 if cut is None else max(cut(p.question, p.chosen), cut(p.question, p.rejected)) for p in kept]
    cuts = np.array([next(name for name, most in CUTS.items() if tokens <= most) for tokens in lost])
    labelled = ~np.isnan(gpt4)
    kinds: dict[tuple[Question, str], str] = {}
    for item, name in zip(asked, wrote, strict=True):
        kinds[item] = min(kind_of(name), kinds.get(item, UNKNOWN))  # in the order of the alphabet people come first

    def accuracies(where: BOOL) -> dict[str, Estimate]:
        return estimates(correct, clusters, where, seed)

    def agreement(where: BOOL) -> Estimate | None:
        return estimates({"gpt4": gpt4}, clusters, where & labelled, seed).get("gpt4")

    def groups(names: Sequence[str], several: bool) -> dict[str, dict[str, Estimate]]:
        column = np.array(names)
        return {name: accuracies(column == name) for name in sorted(set(names))} if several else {}

    several = len({pair.axiom for pair in kept}) > 1
    found_cuts = [name for name in CUTS if (cuts == name).any()]
    return FileResult(
        pairs=len(kept),
        questions=int(clusters.max()) + 1,
        ignored=len(pairs) - len(kept),
        accuracy=accuracies(np.ones(len(kept), np.bool_)),
        matched=accuracies(is_matched),
        gpt4=agreement(labelled),
        gpt4_matched=agreement(is_matched),
        by_axiom=groups([pair.axiom for pair in kept], several),
        by_principle=groups([pair.principle or "general" for pair in kept], several),
        by_scenario=groups(scenarios, len({*scenarios}) > 1),
        by_cut={name: accuracies(cuts == name) for name in found_cuts} if any(lost) else {},
        by_writer=groups(sides, len({*sides}) > 1),
        prefers_human=prefers_human(kept, correct, clusters, seed),
        scales=scales(scores[next(iter(scorers))], [kinds[item] for item in number]),
        ranking=writer_ranking(kept, correct, clusters, seed),
        length_controlled={name: length_controlled(values, ratio, clusters) for name, values in correct.items()},
        best_of_n=best_of_n(scores, chosen, rejected, of_answer, seed),
        correct=correct,
        clusters=clusters,
        is_matched=is_matched,
        margins=margins,
        ratio=ratio,
    )


def position(model: PreferenceModel, pairs: Sequence[PreferencePair], count: int = 32) -> float:
    """Return how far the probability that one answer is better moves at most when the two change places, 0 to 1.

    A model that scores each answer alone can move by rounding only; judges that read both are known to move far.

    Args:
        model: what is asked.
        pairs: one or more, of which so many are tried, at equal distances.
        count: how many.

    Raises:
        InputError: there are no pairs.

    Example:
        >>> from prefmodel.model import PreferenceModel
        >>> pair = PreferencePair("Why?", "Because of x.", "No idea.", axiom="human", source="demo")
        >>> position(PreferenceModel.from_pretrained(), [pair]) < 1e-6
        True
    """
    if not pairs:
        raise InputError("pairs is empty; allowed: at least one")
    tried = pairs[:: max(1, len(pairs) // count)][:count]
    both = (
        (model.compare(p.question, *sides) for sides in ((p.chosen, p.rejected), (p.rejected, p.chosen))) for p in tried
    )
    return max(abs(forth + back - 1.0) for forth, back in both)


def pool(
    results: Sequence[FileResult],
    seed: int = 0,
    temperatures: Mapping[str, float] | None = None,
    positions: Mapping[str, float] | None = None,
) -> PooledResult:
    """Put the results of several files together; the first scorer is the one that the others are compared with.

    The macro average's interval resamples the questions within each file; the intervals of the pooled pairs resample
    all (file, question) at once.

    Args:
        results: of files, all of the same scorers.
        seed: of the intervals.
        temperatures: logits, of the scorers whose margins become probabilities.
        positions: what `position` found of the models.

    Raises:
        InputError: there is no result, or the results are of different scorers.
    """
    if not results or any(list(r.correct) != list(results[0].correct) for r in results):
        raise InputError(f"{len(results)} results; allowed: at least one, all of the same scorers")
    names = list(results[0].correct)
    rows = [np.stack([r.correct[name] for name in names]) for r in results]
    values = np.mean([row.mean(axis=1) for row in rows], axis=0)
    # A seed of its own for each file: with one for all, files of equal size would draw the same numbers.
    means = np.mean([bootstrap(rows[i], r.clusters, [seed, i]) for i, r in enumerate(results)], axis=0)
    count = len(results)

    offsets = np.cumsum([0, *(r.questions for r in results)])
    clusters = np.concatenate([r.clusters + offsets[i] for i, r in enumerate(results)])
    correct = dict(zip(names, np.concatenate(rows, axis=1), strict=True))
    is_matched = np.concatenate([r.is_matched for r in results])
    ratio = np.concatenate([r.ratio for r in results])
    margins = {name: np.concatenate([r.margins[name] for r in results]) for name in temperatures or {}}
    return PooledResult(
        macro={name: Estimate(float(values[i]), *interval(means[i]), count) for i, name in enumerate(names)},
        accuracy=estimates(correct, clusters, np.ones(len(clusters), np.bool_), seed),
        matched=estimates(correct, clusters, is_matched, seed),
        differences={
            name: Estimate(float(values[0] - values[i]), *interval(means[0] - means[i]), count)
            for i, name in enumerate(names)
            if i > 0
        },
        length_controlled={name: length_controlled(values, ratio, clusters) for name, values in correct.items()},
        calibrations={
            name: (calibration(margins[name], clusters, 1.0, seed), calibration(margins[name], clusters, t, seed))
            for name, t in (temperatures or {}).items()
        },
        positions=positions or {},
    )


def _scores(asked: Sequence[tuple[Question, str]], name: str, scorer: Scorer) -> FLOAT:
    """Return the score of each (question, answer), float64 [n]."""
    scores = np.asarray(scorer([q for q, _ in asked], [a for _, a in asked]), np.float64)
    if scores.shape != (len(asked),) or not np.isfinite(scores).all():
        raise InputError(f"scorer {name!r} returned shape {scores.shape}, or NaN; allowed: {len(asked)} numbers")
    return scores


def _gpt4(pair: PreferencePair) -> float:
    """Return the agreement of GPT-4 with the label, 0 to 1, or NaN where the pair says none."""
    value = pair.provenance.get("gpt4")
    if value is None:
        return float("nan")
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"gpt4 is {shown(value)}; allowed: a number from 0 to 1, or none")
    return float(value)


def question_numbers(pairs: Sequence[PreferencePair]) -> INT:
    """Number the questions in the order of their text, so that the order of the pairs does not matter."""
    texts = [question_text(pair.question) for pair in pairs]
    number = {text: i for i, text in enumerate(sorted(set(texts)))}
    return np.array([number[text] for text in texts], np.int64)
