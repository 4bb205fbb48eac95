"""Judged: of a question's answers, one that a judge scored high is better than one that it scored clearly lower."""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from random import Random

from prefmodel.errors import InputError, shown
from prefmodel.types import PreferencePair, Question

PRINCIPLE = None  # a judge's score may have any reason


@dataclass(frozen=True, slots=True)
class JudgedConfig:
    """Which scores are far enough apart.

    Args:
        high: the chosen answer has at least this score, on the judge's scale; of 6 by default.
        gap: and at least so much more than the rejected one.
        pairs_per_question: at most so many, those with the largest difference of win rates.
    """

    high: float = 5.0
    gap: float = 1.0
    pairs_per_question: int = 3


def build(pairs: Sequence[PreferencePair], rng: Random, config: JudgedConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of a question's answers whose scores are far apart; the target is the chosen one's win probability.

    A row of a file of pairs carries the judge's `scores`, of the chosen and of the rejected answer. An answer may be
    scored in several rows; then it has several scores, and wins against another with the share of their combinations
    in which its score is higher. Answers are ranked by the mean of that over the question's other answers. Pairs
    without scores are other labels and are left out.

    Source: arXiv 2404.03715 (filtered pairs and average win rate).

    Raises:
        InputError: `scores` is not two finite numbers.

    >>> row = {"question": "Why?", "chosen": "Because of x.", "rejected": "No idea.", "scores": [5.5, 2]}
    >>> [(p.chosen, p.target) for p in build([PreferencePair.from_dict(row)], Random(0))]
    [('Because of x.', 1.0)]
    """
    config = config or JudgedConfig()
    scored: dict[Question, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    sources: dict[Question, PreferencePair] = {}
    for pair in pairs:
        if "scores" in pair.provenance:
            for text, score in zip((pair.chosen, pair.rejected), _scores(pair), strict=True):
                scored[pair.question][text].append(score)
            sources.setdefault(pair.question, pair)
    for question, scores in scored.items():
        rates = win_rates(scores)
        mean = {text: math.fsum(values) / len(values) for text, values in scores.items()}
        found = [
            (better, worse)
            for better, worse in permutations(scores, 2)
            if mean[better] >= config.high and mean[better] - mean[worse] >= config.gap
        ]
        found.sort(key=lambda two: rates[two[1]] - rates[two[0]])
        for better, worse in found[: config.pairs_per_question]:
            yield PreferencePair(
                question=question,
                chosen=better,
                rejected=worse,
                axiom="judged",
                principle=PRINCIPLE,
                source=sources[question].source,
                thread_id=sources[question].thread_id,
                target=beats(scores[better], scores[worse]),
                provenance={
                    "recipe": "scores",
                    "scores": [round(mean[better], 4), round(mean[worse], 4)],
                    "win_rates": [round(rates[better], 4), round(rates[worse], 4)],
                },
            )


def beats(scores: Sequence[float], others: Sequence[float]) -> float:
    """Return how often a score of the first is higher than one of the second, 0 to 1; a draw counts half.

    >>> beats([5, 3], [3])
    0.75
    """
    return sum(0.5 + 0.5 * ((a > b) - (a < b)) for a in scores for b in others) / (len(scores) * len(others))


def win_rates(scores: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the mean share of wins of each answer against the others, 0 to 1; .5 for one that has no other.

    Args:
        scores: answer to its scores.

    >>> win_rates({"good": [6], "fair": [4], "poor": [1]})
    {'good': 1.0, 'fair': 0.5, 'poor': 0.0}
    """
    return {
        text: math.fsum(beats(own, others) for other, others in scores.items() if other != text) / (len(scores) - 1)
        if len(scores) > 1
        else 0.5
        for text, own in scores.items()
    }


def _scores(pair: PreferencePair) -> tuple[float, float]:
    scores = pair.provenance["scores"]
    numbers = isinstance(scores, Sequence) and not isinstance(scores, str) and len(scores) == 2
    if not numbers or not all(
        isinstance(s, int | float) and not isinstance(s, bool) and abs(s) <= sys.float_info.max for s in scores
    ):
        raise InputError(f"scores is {shown(scores)}; allowed: two numbers, of the chosen and of the rejected answer")
    return float(scores[0]), float(scores[1])
