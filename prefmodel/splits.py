"""Which split a question belongs to: a hash of its words decides, so that every run and every machine agrees."""

from __future__ import annotations

import hashlib
import re

from prefmodel.types import Message, Question

SPLITS = ("train", "dev", "test")
DEV_PERCENT = 5
TEST_PERCENT = 5

_WORD = re.compile(r"\w+")
_SPACED = {code: " " for code in range(128) if not _WORD.match(chr(code))}
"""ASCII characters that part words, each to a space."""


def words(text: str) -> list[str]:
    """Return the lower-cased words of a text, without punctuation.

    >>> words("Why is the SKY blue?")
    ['why', 'is', 'the', 'sky', 'blue']
    """
    text = text.lower()
    # Twice as fast as a search, where it gives the same: beyond ASCII the table would not hold all characters.
    return text.translate(_SPACED).split() if text.isascii() else _WORD.findall(text)


def question_text(question: Question) -> str:
    """Return a question as one text; the turns of a dialogue are joined by blank lines."""
    if isinstance(question, str):
        return question
    return "\n\n".join(message.content for message in question)


def asked_text(question: Question) -> str:
    """Return what tells a question from others as one text: a dialogue without its system messages, which many share.

    A dialogue of nothing but system messages is what they say.

    >>> from prefmodel.types import Message
    >>> asked_text((Message("system", "Be brief."), Message("user", "Why?")))
    'Why?'
    """
    return question_text(question if isinstance(question, str) else _turns(question))


def _turns(dialogue: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(message for message in dialogue if message.role != "system") or dialogue


def split_of(question: Question) -> str:
    """Return "train", "dev" or "test" for a question: 90, 5 and 5 percent of all questions.

    Case, punctuation and spaces do not matter. A dialogue goes with its first message that is not the system's, which
    many dialogues share; so a longer and a shorter form of one dialogue stay together.

    >>> split_of("Why is the sky blue?") == split_of("why is the sky  blue")
    True
    """
    opening = question if isinstance(question, str) else _turns(question)[0].content
    # Lone surrogates cannot be encoded; "replace" keeps the hash defined for them.
    digest = hashlib.sha256(" ".join(words(opening)).encode("utf-8", "replace")).digest()
    percent = int.from_bytes(digest[:8], "big") % 100
    if percent < TEST_PERCENT:
        return "test"
    return "dev" if percent < TEST_PERCENT + DEV_PERCENT else "train"
