"""Checks of what requests ask for, beyond the types that their schemas state."""

from __future__ import annotations

from collections.abc import Sequence

from prefmodel.arguments import QuestionLike, one_question, one_text
from prefmodel.errors import InputError
from prefmodel.server.problems import Problem
from prefmodel.server.settings import Settings
from prefmodel.types import Question


def checked_question(value: QuestionLike, field: str, settings: Settings) -> Question:
    """Return a question of allowed length and number of turns; raise a Problem that names `field`."""
    if not isinstance(value, str):
        check_count(len(value), field, settings)
    try:
        question = one_question(value, field)
    except InputError as error:
        raise Problem(422, str(error), field) from None
    check_length(sum(map(len, question_texts(question))), field, settings)
    return question


def checked_text(value: str, field: str, settings: Settings) -> str:
    """Return a text of allowed length; raise a Problem that names `field`."""
    try:
        text = one_text(value, field)
    except InputError as error:
        raise Problem(422, str(error), field) from None
    check_length(len(text), field, settings)
    return text


def checked_texts(values: Sequence[str], field: str, settings: Settings) -> list[str]:
    """Return texts of allowed number and lengths; raise a Problem that names `field` and the text's index."""
    check_count(len(values), field, settings)
    return [checked_text(value, f"{field}[{i}]", settings) for i, value in enumerate(values)]


def check_count(count: int, field: str, settings: Settings, least: int = 0) -> None:
    """Raise a Problem that names `field` where it has fewer than `least` or more than the allowed number of rows."""
    if not least <= count <= settings.max_rows:
        raise Problem(422, f"{field} has {count} items; allowed: {least} to {settings.max_rows}", field)


def question_texts(question: Question) -> list[str]:
    """Return the texts of a question's turns, or the one text that it is."""
    return [question] if isinstance(question, str) else [message.content for message in question]


def check_length(chars: int, field: str, settings: Settings, texts: int = 1) -> None:
    """Raise a Problem that names `field` where it has more characters than so many texts may have together."""
    limit = texts * settings.max_text_chars
    if chars > limit:
        raise Problem(422, f"{field} has {chars} characters; allowed: up to {limit}", field)
