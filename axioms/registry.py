"""The axioms by name. A new axiom is one new file and one line here, or an entry point of another package.

Those that ask a language model are in `axioms.llm.registry`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from random import Random

from axioms import (
    groundedness,
    human,
    invariance,
    judged,
    relevance,
    relevant_grounding,
    robustness,
    strength,
    thoroughness,
    truthfulness,
    usefulness,
    verified,
)
from axioms.encoded import Encoded
from axioms.llm.asking import Asking
from axioms.llm.client import LLMOptions
from axioms.llm.registry import LLM_AXIOMS
from axioms.plugins import Plugin, plugins
from prefmodel.errors import InputError, shown
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
    "verified": verified.build,
    "invariance": invariance.build,
    "robustness": robustness.build,
}
"""Axioms that build pairs from threads."""

LABELS: dict[str, LabelAxiom] = {"human": human.build, "judged": judged.build}
"""Passed-through labels: these take pairs, not threads."""

NAMES = (*AXIOMS, *LABELS)


_OURS = (*NAMES, *LLM_AXIOMS)


def displaced() -> list[Plugin]:
    """Return the axioms of other packages that are left out, since their names are those of ours."""
    return [plugin for name, plugin in plugins().items() if name in _OURS]


def of_threads(llm: LLMOptions | None = None, encoder: str | None = None) -> dict[str, Axiom]:
    """Return all axioms that build pairs from threads: ours, those of other packages, those that ask a language model.

    Args:
        llm: the language model; without one there are no axioms that ask it.
        encoder: of sentences, for `relevance`; folder or Hub name.
    """
    theirs = {name: plugin for name, plugin in plugins().items() if name not in _OURS}
    asking: dict[str, Axiom] = {name: Asking(name, llm) for name in LLM_AXIOMS} if llm else {}
    encoded: dict[str, Axiom] = {} if encoder is None else {"relevance": Encoded(encoder)}
    return AXIOMS | encoded | theirs | asking


def axiom(name: str, llm: LLMOptions | None = None, encoder: str | None = None) -> Axiom | LabelAxiom:
    """Return the axiom of a name.

    Args:
        name: of the axiom.
        llm, encoder: as for `of_threads`.

    Raises:
        InputError: there is no such axiom, or it asks a language model and there is none.

    >>> axiom("llm_groundedness")
    Traceback (most recent call last):
    prefmodel.errors.InputError: axiom is 'llm_groundedness', which asks a language model; allowed with --llm-url
    """
    known: dict[str, Axiom | LabelAxiom] = {**of_threads(llm, encoder), **LABELS}
    if name in LLM_AXIOMS and llm is None:
        raise InputError(f"axiom is {shown(name)}, which asks a language model; allowed with --llm-url")
    if name not in known:
        raise InputError(f"axiom is {shown(name)}; allowed: {', '.join(known)}")
    return known[name]


def about(name: str) -> tuple[str | None, str]:
    """Return the principle that an axiom upholds, if any, and what its file says it is.

    Raises:
        InputError: there is no such axiom, or it is of another package and cannot be imported.

    >>> about("relevance")[0]
    'relevance'
    """
    build: Callable[..., Iterator[PreferencePair]] = LLM_AXIOMS[name] if name in LLM_AXIOMS else axiom(name)
    if isinstance(build, Plugin):
        build = build.load()
    module = sys.modules[build.__module__]
    return module.PRINCIPLE, (module.__doc__ or "").partition("\n")[0]
