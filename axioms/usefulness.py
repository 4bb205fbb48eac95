"""Axiom 0, usefulness: of two answers in one thread, the one with clearly more votes, or accepted, is better."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import permutations
from random import Random

from prefmodel.types import Answer, PreferencePair, Thread

PRINCIPLE = "usefulness"


@dataclass(frozen=True, slots=True)
class UsefulnessConfig:
    """What counts as clearly more votes.

    Votes follow age and views, so a ratio and an absolute gap are both asked for, and the winner may not be much older.

    Args:
        ratio: the winner has at least so many times the votes of the other (both plus one).
        gap: and at least so many more.
        head_start: the winner was written at most so many days before the other, where dates are known.
        pairs_per_thread: at most so many pairs from one thread, those with the highest ratio.
        margin: logits for each natural logarithm of the ratio of votes.
        largest_margin: logits.
    """

    ratio: float = 2.0
    gap: int = 3
    head_start: int = 14
    pairs_per_thread: int = 3
    margin: float = 0.2
    largest_margin: float = 0.8


def build(threads: Sequence[Thread], rng: Random, config: UsefulnessConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of answers with more and with fewer votes; the margin grows with the log of the vote ratio.

    Recipes: "votes", clearly more of them; "accepted", the asker's choice over one that has no more. Where the asker
    accepted an answer and the voters clearly prefer another, they disagree, and there is no pair. Answers without text
    are left out.

    Source: arXiv 2312.02206, axiom 0.

    >>> thread = Thread("demo/1", "demo", "Why?", (Answer("Good.", votes=9), Answer("Bad.", votes=0)))
    >>> [pair.chosen for pair in build([thread], Random(0))]
    ['Good.']
    """
    config = config or UsefulnessConfig()
    for thread in threads:
        found = [
            (_ratio(better, worse), better, worse, recipe)
            for better, worse in permutations((answer for answer in thread.answers if answer.text.strip()), 2)
            if (recipe := _recipe(better, worse, config)) is not None
        ]
        found.sort(key=lambda item: -item[0])
        for ratio, better, worse, recipe in found[: config.pairs_per_thread]:
            yield PreferencePair(
                question=thread.question,
                chosen=better.text,
                rejected=worse.text,
                axiom="usefulness",
                principle=PRINCIPLE,
                source=thread.source,
                thread_id=thread.id,
                margin=min(config.margin * math.log(ratio), config.largest_margin),
                provenance={"recipe": recipe, "votes": [better.votes, worse.votes]},
            )


def _ratio(better: Answer, worse: Answer) -> float:
    return (max(better.votes or 0, 0) + 1) / (max(worse.votes or 0, 0) + 1)


def _recipe(better: Answer, worse: Answer, config: UsefulnessConfig) -> str | None:
    """Return why `better` is better, or None."""
    if better.text == worse.text or worse.accepted or not _similar_age(better, worse, config):
        return None
    if better.votes is not None and worse.votes is not None:
        if better.votes - worse.votes >= config.gap and _ratio(better, worse) >= config.ratio:
            return "votes"
        return "accepted" if better.accepted and better.votes >= worse.votes else None
    return "accepted" if better.accepted and better.votes is worse.votes else None


def _similar_age(better: Answer, worse: Answer, config: UsefulnessConfig) -> bool:
    """Tell whether the better answer did not have more time to gather votes; true where dates are not known."""
    if better.created is None or worse.created is None:
        return True
    return (date.fromisoformat(worse.created) - date.fromisoformat(better.created)).days <= config.head_start
