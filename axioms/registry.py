"""The axioms by name. A new axiom is one new file and one line here."""

from __future__ import annotations

import sys
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

LabelAxiom = Callable[[Sequence[PreferencePair], Random], Iterator[PreferencePair]]
"""Labelled pairs and a source of randomness to pairs."""

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

LABELS: dict[str, LabelAxiom] = {"human": human.build}
"""Passed-through labels: these take pairs, not threads."""

NAMES = (*AXIOMS, *LABELS)


def about(name: str) -> tuple[str | None, str]:
    """Return the principle that an axiom upholds, if any, and what its file says it is.

    Args:
        name: one of `NAMES`.

    Raises:
        KeyError: there is no such axiom.

    >>> about("relevance")[0]
    'relevance'
    """
    build = AXIOMS[name] if name in AXIOMS else LABELS[name]
    module = sys.modules[build.__module__]
    return module.PRINCIPLE, (module.__doc__ or "").partition("\n")[0]
