"""The words that every part shares: a thread with its answers, and a preference pair built from it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any

from prefmodel.errors import InputError, shown

PRINCIPLES = ("usefulness", "relevance", "groundedness", "truthfulness", "thoroughness")
"""The principles of arXiv 2312.02206, in the order of the model's heads."""

CONTRIBUTIONS = (*PRINCIPLES, "general")
LENGTH = "length"
"""A contribution that knows how long an answer is and nothing else; a bundle may have it."""
"""The score's parts: one for each principle, and `general` for pairs that uphold none (human labels, strength)."""

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a dialogue.

    Args:
        role: one of `ROLES`.
        content: the turn's text.

    Raises:
        InputError: a field has the wrong type or the role is unknown.

    >>> Message("user", "Why is the sky blue?").role
    'user'
    """

    role: str
    content: str

    def __post_init__(self) -> None:
        _check(self, "content", str)
        if self.role not in ROLES:
            raise InputError(f"role is {shown(self.role)}; allowed: {', '.join(ROLES)}")


Question = str | tuple[Message, ...]
"""What is asked: plain text, or the turns of a dialogue, the last of which is to be answered."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a thread.

    Args:
        text: the answer, Markdown.
        author: "human" or "model".
        votes: net votes, where the source has them.
        accepted: whether the asker accepted it.
        created: date, ISO 8601 (YYYY-MM-DD).
        model: the language model that wrote it.

    Raises:
        InputError: a field has the wrong type or value.

    >>> Answer("Rayleigh scattering.", votes=3).author
    'human'
    """

    text: str
    author: str = "human"
    votes: int | None = None
    accepted: bool | None = None
    created: str | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        _check(self, "text", str)
        if self.author not in ("human", "model"):
            raise InputError(f"author is {shown(self.author)}; allowed: human, model")
        _check(self, "votes", int, optional=True)
        _check(self, "accepted", bool, optional=True)
        _check_date(self, "created")
        _check(self, "model", str, optional=True)


@dataclass(frozen=True, slots=True)
class Thread:
    """A question with its answers and the passages that are evidence for it.

    Args:
        id: unique, `source/number`.
        source: where it comes from.
        question: title and body, Markdown.
        answers: in no particular order.
        passages: evidence that belongs to the question; may be empty.
        views: page views, where the source has them.

    Raises:
        InputError: a field has the wrong type.

    >>> Thread("demo/1", "demo", "Why?", (Answer("Because."),)).answers[0].text
    'Because.'
    """

    id: str
    source: str
    question: str
    answers: tuple[Answer, ...]
    passages: tuple[str, ...] = ()
    views: int | None = None

    def __post_init__(self) -> None:
        for name in ("id", "source", "question"):
            _check(self, name, str)
        _check(self, "views", int, optional=True)
        object.__setattr__(self, "answers", tuple(self.answers))
        object.__setattr__(self, "passages", tuple(self.passages))
        for passage in self.passages:
            if not isinstance(passage, str):
                raise InputError(f"passages holds {shown(passage)}; allowed: str")

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Thread:
        """Build a thread from a row of a file; raise InputError naming the field that is wrong."""
        row = _known(row, cls)
        answers = _sequence(row, "answers")
        row["answers"] = tuple(_answer(a, i) for i, a in enumerate(answers))
        row["passages"] = tuple(_sequence(row, "passages")) if row.get("passages") is not None else ()
        return cls(**row)

    def to_dict(self) -> dict[str, Any]:
        """Return the row that `from_dict` reads; fields without a value are left out."""
        row = _filled(self)
        row["answers"] = [_filled(answer) for answer in self.answers]
        row["passages"] = list(self.passages)
        return row


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two answers to one question, of which `chosen` is better with probability `target`.

    Args:
        question: text, or the turns of a dialogue.
        chosen: the preferred answer.
        rejected: the other answer.
        axiom: name of the axiom that built the pair, "human" for a human label.
        source: data the pair comes from.
        principle: the principle it upholds, one of `PRINCIPLES`, or None.
        margin: how far apart the scores should be at least, in logits, 0 or more.
        target: probability that `chosen` is better, 0 to 1.
        thread_id: id of the thread it was built from.
        provenance: how it was built (recipe, difficulty, labels of others), JSON values.

    Raises:
        InputError: a field has the wrong type or is out of range.

    >>> PreferencePair("Why?", "Because of x.", "No idea.", axiom="human", source="demo").target
    1.0
    """

    question: Question
    chosen: str
    rejected: str
    axiom: str
    source: str
    principle: str | None = None
    margin: float = 0.0
    target: float = 1.0
    thread_id: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "question", as_question(self.question))
        for name in ("chosen", "rejected", "axiom", "source"):
            _check(self, name, str)
        _check(self, "thread_id", str, optional=True)
        if self.principle is not None and self.principle not in PRINCIPLES:
            raise InputError(f"principle is {shown(self.principle)}; allowed: {', '.join(PRINCIPLES)} or none")
        _check_range(self, "margin", 0.0, sys.float_info.max)
        _check_range(self, "target", 0.0, 1.0)
        if not isinstance(self.provenance, Mapping):
            raise InputError(f"provenance is {shown(self.provenance)}; allowed: a mapping")

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> PreferencePair:
        """Build a pair from a row of a file.

        Only `question`, `chosen` and `rejected` are required: a row without `axiom` is a human label. Fields that
        are none of ours (`gpt4`, `scenario`) are kept in `provenance`.
        """
        own = {f.name for f in fields(cls)}
        for name in ("question", "chosen", "rejected"):
            if row.get(name) is None:
                raise InputError(f"{name} is missing; allowed: {', '.join(sorted(own))}")
        known = {k: v for k, v in row.items() if k in own and v is not None}
        known.setdefault("axiom", "human")
        known.setdefault("source", "unknown")
        extra = {k: v for k, v in row.items() if k not in own and v is not None}
        if extra and isinstance(known.get("provenance", {}), Mapping):
            known["provenance"] = {**known.get("provenance", {}), **extra}
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """Return the row that `from_dict` reads; fields without a value are left out."""
        row = _filled(self)
        if not isinstance(self.question, str):
            row["question"] = [{"role": m.role, "content": m.content} for m in self.question]
        row["provenance"] = dict(self.provenance)
        return row


def as_question(value: object) -> Question:
    """Return `value` (text, or messages as objects or as dicts with role and content) as a `Question`.

    >>> as_question([{"role": "user", "content": "Why?"}])
    (Message(role='user', content='Why?'),)
    """
    if isinstance(value, str):
        return value
    if not isinstance(value, Sequence) or not value:
        raise InputError(f"question is {shown(value)}; allowed: text, or a list of messages with role and content")
    return tuple(_message(turn) for turn in value)


def _message(turn: object) -> Message:
    if isinstance(turn, Message):
        return turn
    if not isinstance(turn, Mapping) or not {"role", "content"} <= set(turn):
        raise InputError(f"question holds {shown(turn)}; allowed: messages with role and content")
    return Message(turn["role"], turn["content"])


def _answer(value: object, index: int) -> Answer:
    if not isinstance(value, Mapping):
        raise InputError(f"answers[{index}] is {shown(value)}; allowed: an object")
    try:
        return Answer(**_known(value, Answer))
    except InputError as error:
        raise InputError(f"answers[{index}]: {error}") from None


def _check(obj: object, name: str, kind: type, optional: bool = False) -> None:
    value = getattr(obj, name)
    if value is None and optional:
        return
    # bool is an int in Python, but not a number of votes.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(f"{name} is {shown(value)}; allowed: {kind.__name__}{' or none' if optional else ''}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise InputError(f"{name} is {shown(value)}; allowed: an int of 64 bits{' or none' if optional else ''}")


def _check_date(obj: object, name: str) -> None:
    value = getattr(obj, name)
    if value is None:
        return
    try:
        # Later versions of Python read other forms as well; we keep to one.
        valid = date.fromisoformat(value).isoformat() == value
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise InputError(f"{name} is {shown(value)}; allowed: a date YYYY-MM-DD or none")


def _check_range(obj: object, name: str, low: float, high: float) -> None:
    value = getattr(obj, name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{name} is {shown(value)}; allowed: a number from {low:g} to {high:.2g}")
    object.__setattr__(obj, name, float(value))


def _known(row: Mapping[str, Any], cls: type) -> dict[str, Any]:
    """Return the row without its empty fields; complain about missing and unknown ones."""
    own = {f.name: f for f in fields(cls)}
    unknown = [name for name in row if name not in own]
    if unknown:
        raise InputError(f"{unknown[0]} is not a field; allowed: {', '.join(own)}")
    required = [name for name, f in own.items() if f.default is _MISSING and f.default_factory is _MISSING]
    missing = [name for name in required if row.get(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is missing; required: {', '.join(required)}")
    return {name: value for name, value in row.items() if value is not None}


def _sequence(row: Mapping[str, Any], name: str) -> Sequence[Any]:
    value = row[name]
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InputError(f"{name} is {shown(value)}; allowed: a list")
    return value


def _filled(obj: Any) -> dict[str, Any]:
    values = {f.name: getattr(obj, f.name) for f in fields(obj)}
    return {name: value for name, value in values.items() if value is not None}


_MISSING = Answer.__dataclass_fields__["text"].default
