"""The axioms by name. A new axiom is one new file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from axioms import (
    groundedness,
    human,
    relevance,
    relevant_grounding,
    strength,
    thoroughness,
    truthfulness,
    usefulness,
)
from prefmodel.types import PreferencePair, Thread

Axiom = Callable[[Sequence[Thread], Random], Iterator[PreferencePair]]
"""Threads and a source of randomness to pairs."""

AXIOMS: dict[str, Axiom] = {
    "usefulness": usefulness.build,
    "relevance": relevance.build,
    "groundedness": groundedness.build,
    "relevant_grounding": relevant_grounding.build,
    "truthfulness": truthfulness.build,
    "thoroughness": thoroughness.build,
    "strength": strength.build,
}
"""Axioms that build pairs from threads."""

LABELS = {"human": human.build}
"""Passed-through labels: these take pairs, not threads."""

NAMES = (*AXIOMS, *LABELS)
