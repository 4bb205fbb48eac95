"""Strength: the answer of a stronger language model is better, with the probability that their ratings give."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import combinations
from random import Random

from axioms.ratings import comparisons_of, fit_ratings
from prefmodel.types import Answer, PreferencePair, Thread

PRINCIPLE = None  # a stronger model may be better in any way


def default_ratings() -> dict[str, float]:
    """Return the package's prior ratings of language models on an Elo scale, read from `ratings.json`."""
    ratings: dict[str, float] = json.loads((files("axioms") / "ratings.json").read_text(encoding="utf-8"))["ratings"]
    return ratings


@dataclass(frozen=True, slots=True)
class StrengthConfig:
    """Which models are compared.

    Args:
        ratings: model name to rating, Elo scale; a prior, which the votes of the threads correct. `fit_ratings` learns
            such ratings from pairs that name their models.
        gap: the ratings differ by at least so much.
        pairs_per_thread: at most so many pairs from one thread, drawn at random.
    """

    ratings: Mapping[str, float] = field(default_factory=default_ratings)
    gap: float = 80.0
    pairs_per_thread: int = 40


def build(threads: Sequence[Thread], rng: Random, config: StrengthConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of answers of two models, from large gaps of ratings to small ones: from easy to hard.

    A single answer of the stronger model may well be the worse one, so the target is soft: the win probability
    `1 / (1 + 10 ** (-gap / 400))`, Elo's form of Bradley-Terry. The difficulty is 0 where the win is sure and 1 where
    either may win.

    Source: arXiv 2310.02263 (pairs from models of different strength, easy ones first).

    >>> answers = (Answer("Long.", author="model", model="gpt-4"), Answer("x", author="model", model="llama-13b"))
    >>> [round(p.target, 2) for p in build([Thread("demo/1", "demo", "Why?", answers)], Random(0))]
    [0.9]
    """
    config = config or StrengthConfig()
    voted = list(comparisons_of(threads))
    ratings = {m: r.elo for m, r in fit_ratings(voted, config.ratings).items()} if voted else config.ratings
    drawn: list[tuple[float, Thread, Answer, Answer]] = []
    for thread in threads:
        rated = [(ratings[a.model], a) for a in thread.answers if a.model and a.model in ratings and a.text.strip()]
        found = [
            (abs(one - other), thread, *((a, b) if one > other else (b, a)))
            for (one, a), (other, b) in combinations(rated, 2)
            if abs(one - other) >= config.gap and a.text != b.text
        ]
        drawn += rng.sample(found, min(config.pairs_per_thread, len(found)))
    for gap, thread, better, worse in sorted(drawn, key=lambda pair: -pair[0]):
        target = round(1 / (1 + 10 ** (-gap / 400)), 4)
        yield PreferencePair(
            question=thread.question,
            chosen=better.text,
            rejected=worse.text,
            axiom="strength",
            principle=PRINCIPLE,
            source=thread.source,
            thread_id=thread.id,
            target=target,
            provenance={
                "recipe": "ratings",
                "models": [better.model, worse.model],
                "gap": round(gap, 1),
                "difficulty": round(2 * (1 - target), 4),
            },
        )
