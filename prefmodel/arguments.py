"""Checks of the questions and answers that callers pass; an error names the argument, its value and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from prefmodel.errors import InputError, shown
from prefmodel.types import Message, Question, as_question

Turn: TypeAlias = "Message | Mapping[str, Any]"
QuestionLike: TypeAlias = "str | Sequence[Turn]"
"""Text, or the turns of one dialogue as `Message` objects or as dicts with role and content."""


def one_text(value: object, name: str) -> str:
    """Return `value` if it is text with more in it than white space.

    Raises:
        InputError: it is something else; the text begins with `name`.

    >>> one_text("Because.", "answer")
    'Because.'
    """
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name} is {shown(value)}; allowed: non-empty text")
    return value


def one_question(value: object, name: str) -> Question:
    """Return text or the turns of a dialogue, in a list or an array, as a `Question`.

    Raises:
        InputError: it is neither, or there is no text in it; the text begins with `name`.

    >>> one_question([{"role": "user", "content": "Why?"}], "question")
    (Message(role='user', content='Why?'),)
    """
    turns = as_list(value)
    if not turns:
        if isinstance(value, str) and value.strip():
            return value
        raise InputError(f"{name} is {shown(value)}; allowed: non-empty text, or messages with role and content")
    try:
        question = as_question(turns)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if not any(isinstance(message, Message) and message.content.strip() for message in question):
        raise InputError(f"{name} is {shown(value)}; allowed: messages of which one has text")
    return question


def one_or_more_texts(value: object, name: str) -> str | list[str]:
    """Return one text, or the list of several; errors as for `one_text`, with the index of the text.

    >>> one_or_more_texts(["Because.", None], "answer")
    Traceback (most recent call last):
        ...
    prefmodel.errors.InputError: answer[1] is None; allowed: non-empty text
    """
    many = as_list(value)
    if many is None:
        return one_text(value, name)
    return [one_text(text, f"{name}[{i}]") for i, text in enumerate(many)]


def one_or_more_questions(value: object, name: str) -> Question | list[Question]:
    """Return one question, or the list of several; errors as for `one_question`, with the index of the question.

    A list in which there is a message is one dialogue; a list of texts or of dialogues is many questions.

    >>> one_or_more_questions(["Why?", [{"role": "user", "content": "How?"}]], "question")
    ['Why?', (Message(role='user', content='How?'),)]
    """
    many = as_list(value)
    if many is None:
        return one_question(value, name)
    if any(isinstance(item, Message | Mapping) for item in many):
        return one_question(many, name)
    return [one_question(item, f"{name}[{i}]") for i, item in enumerate(many)]


def as_list(value: object) -> list[Any] | None:
    """Return a list, tuple, numpy array or pandas series as a list, and None for what is no sequence of values.

    >>> as_list(("a", "b")), as_list("ab")
    (['a', 'b'], None)
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str | _BYTES) or not isinstance(value, Sequence):
        return None
    return list(value)


_BYTES = bytes | bytearray | memoryview
