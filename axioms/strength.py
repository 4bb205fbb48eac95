"""Strength: the answer of a stronger language model is better, with the probability that their ratings give."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import combinations
from random import Random

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
        ratings: model name to rating, Elo scale.
        gap: the ratings differ by at least so much.
        pairs_per_thread: at most so many pairs from one thread, drawn at random.
    """

    ratings: Mapping[str, float] = field(default_factory=default_ratings)
    gap: float = 80.0
    pairs_per_thread: int = 10


def build(threads: Sequence[Thread], rng: Random, config: StrengthConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of answers of two models; the target is the win probability that the gap of ratings gives.

    A single answer of the stronger model may well be the worse one, so the target is soft:
    `1 / (1 + 10 ** (-gap / 400))`, Elo's form of Bradley-Terry.

    Source: arXiv 2310.02263 (pairs from models of different strength).

    >>> answers = (Answer("Long.", author="model", model="gpt-4"), Answer("x", author="model", model="llama-13b"))
    >>> [round(p.target, 2) for p in build([Thread("demo/1", "demo", "Why?", answers)], Random(0))]
    [0.9]
    """
    config = config or StrengthConfig()
    for thread in threads:
        rated = [a for a in thread.answers if a.model in config.ratings and a.text.strip()]
        found = [
            (a, b) if _rating(a, config) > _rating(b, config) else (b, a)
            for a, b in combinations(rated, 2)
            if abs(_rating(a, config) - _rating(b, config)) >= config.gap and a.text != b.text
        ]
        for better, worse in rng.sample(found, min(config.pairs_per_thread, len(found))):
            gap = _rating(better, config) - _rating(worse, config)
            yield PreferencePair(
                question=thread.question,
                chosen=better.text,
                rejected=worse.text,
                axiom="strength",
                principle=PRINCIPLE,
                source=thread.source,
                thread_id=thread.id,
                target=round(1 / (1 + 10 ** (-gap / 400)), 4),
                provenance={"models": [better.model, worse.model], "gap": gap},
            )


def _rating(answer: Answer, config: StrengthConfig) -> float:
    return config.ratings[answer.model or ""]
