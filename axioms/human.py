"""Human labels, passed through: cleaned, capped for each question, and marked as what they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from prefmodel.errors import InputError, shown
from prefmodel.types import Message, PreferencePair, Question

PRINCIPLE = None  # a label does not say why; pairs that do keep the principle that they name

_KEPT = ("difficulty",)
"""Entries of a label's provenance that training reads."""
_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class HumanConfig:
    """Which labels are kept.

    Args:
        pairs_per_question: at most so many, so that a few questions do not rule the training.
    """

    pairs_per_question: int = 8


def build(pairs: Sequence[PreferencePair], rng: Random, config: HumanConfig | None = None) -> Iterator[PreferencePair]:
    """Yield the human-labelled pairs in random order, dialogues as messages, without pairs that differ only in spaces.

    Pairs with a judge's `scores` are left to the axiom "judged".

    Raises:
        InputError: a pair is no label; see `check_label`.

    >>> pair = PreferencePair("Why?", "Because  of x.", "Because of x.", axiom="human", source="demo")
    >>> list(build([pair], Random(0)))
    []
    """
    config = config or HumanConfig()
    for pair in pairs:
        check_label(pair)
    seen: Counter[Question] = Counter()
    labels = [pair for pair in pairs if "scores" not in pair.provenance]  # those are a judge's: see judged.py
    for pair in rng.sample(labels, len(labels)):
        if pair.chosen.split() == pair.rejected.split() or seen[pair.question] >= config.pairs_per_question:
            continue
        seen[pair.question] += 1
        question = as_dialogue(pair.question) if isinstance(pair.question, str) else pair.question
        kept = {name: value for name, value in pair.provenance.items() if name in _KEPT}
        yield replace(pair, question=question, provenance=kept)


def check_label(pair: PreferencePair) -> None:
    """Raise InputError when an axiom built a pair, so that no one said which of its answers is better."""
    if pair.axiom != "human" and "scores" not in pair.provenance:
        allowed = "human, or any with a judge's scores; pairs that are built already are for data.pairs of a recipe"
        raise InputError(f"axiom of a label is {shown(pair.axiom)}; allowed: {allowed}")


def as_dialogue(text: str) -> Question:
    """Return the messages of a text of the form `Human: … Assistant: …`, or the text itself.

    >>> as_dialogue("Human: Hi\\n\\nAssistant: Hello!\\n\\nHuman: Why?")[1]
    Message(role='assistant', content='Hello!')
    >>> as_dialogue("Why?")
    'Why?'
    """
    if not text.startswith(("Human: ", "Assistant: ")):
        return text
    pieces = _TURN.split(text)[1:]
    turns = [Message(_ROLES[who], _clean(said)) for who, said in zip(pieces[::2], pieces[1::2], strict=True)]
    turns = [turn for turn in turns if turn.content]
    return tuple(turns) if turns else text


def _clean(said: str) -> str:
    """Drop the bare "Human" that HH-RLHF leaves at the end of some turns."""
    return said.strip().removesuffix("\n\nHuman").strip()
