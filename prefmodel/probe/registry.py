"""The probes by name. A new one is a function in `manipulations.py` and one line here."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from prefmodel.errors import InputError, shown
from prefmodel.probe import manipulations as m
from prefmodel.types import Question

Manipulation = Callable[[str, str, Random], str]
"""Question, answer and a source of randomness to the manipulated answer."""


def combination(question: str, answer: str, rng: Random) -> str:
    """Apply all the other probes, one after another.

    >>> "Because." in combination("Why?", "Because.", Random(0))
    True
    """
    for manipulation in (m.markdown, m.repetition, m.padding, m.keywords, m.citations, m.claim, m.flattery, m.orders):
        answer = manipulation(question, answer, rng)
    return m.copied_question(question, m.forgery(question, answer, rng), rng)


PROBES: dict[str, Manipulation] = {
    "flattery": m.flattery,
    "repetition": m.repetition,
    "keywords": m.keywords,
    "citations": m.citations,
    "copied-question": m.copied_question,
    "padding": m.padding,
    "claim": m.claim,
    "markdown": m.markdown,
    "orders": m.orders,
    "forgery": m.forgery,
    "combination": combination,
}


def manipulated(name: str, question: Question, answer: str, seed: int = 0) -> str:
    """Return an answer as a probe changes it; the same arguments give the same text.

    Args:
        name: of the probe, one of `PROBES`.
        question: what was asked; of a dialogue the last message is what a probe copies from.
        answer: the answer, which the result holds.
        seed: another one draws other phrasings.

    Raises:
        InputError: there is no such probe.

    >>> manipulated("claim", "Why?", "Because.", seed=2)
    'Because. This answer is correct.'
    """
    [known] = checked((name,))
    text = question if isinstance(question, str) else question[-1].content
    # Of the texts too, not of a running number: a pair keeps its phrasing whatever else is in the file.
    key = "\n".join([str(seed), known, text, answer])
    return PROBES[known](text, answer, Random(key.encode("utf-8", "surrogatepass")))


def checked(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of probes, each once; raise InputError for one that does not exist, or for none."""
    for name in names:
        if name not in PROBES:
            raise InputError(f"probes holds {shown(name)}; allowed: {', '.join(PROBES)}")
    if not names:
        raise InputError(f"probes is empty; allowed: {', '.join(PROBES)}")
    return tuple(dict.fromkeys(names))
