"""Where an error would be no error, or would give itself away: what `axioms.corruptions` leaves as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SENTENCE_END = re.compile(r"[.!?\n]|\Z")
_PERSONAL = re.compile(r"\b(?:I|[Mm]y)\b")
_POLAR = re.compile(
    r"[^.!?\n]*?\b(?:any\w*|at all|ever|either|much|until|yet)\b| (?:go wrong|wait|help|stand|beat|afford|seem to)\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:no|nor|not|none|never|neither|nothing|nobody|nowhere|without|cannot|hardly|barely|unless|if"
    r"|\w+n['’]t|(?:do|does|did|is|are|ca|wo|would|should|could)nt)\b",
    re.IGNORECASE,
)
_RANGE_BEFORE = re.compile(r"\d%?,? (?:to|or|and)(?: maybe| even)? $")
_RANGE_AFTER = re.compile(r"%?,? (?:to|or|and)(?: maybe| even)? [$£€]?\d")

Span = tuple[int, int]


def personal(text: str, span: Span) -> bool:
    """Tell whether the sentence around a span is about its writer, so that nobody else can check it.

    >>> personal("It is hot. I like 3 of them.", (18, 19)), personal("I do. It has 3 moons.", (13, 14))
    (True, False)
    """
    return bool(_PERSONAL.search(text, *_sentence(text, span)))


def denied(text: str, span: Span) -> bool:
    """Tell whether the sentence around a span, without the span, has a negation or a condition.

    >>> denied("It is not really cold.", (17, 21)), denied("It is really cold.", (13, 17))
    (True, False)
    """
    start, end = _sentence(text, span)
    return bool(_DENIAL.search(text, start, span[0]) or _DENIAL.search(text, span[1], end))


def told_elsewhere(text: str, word: str, spans: Sequence[Span], kept: Sequence[Span]) -> bool:
    """Tell whether a number also stands outside its spans, where it was not taken for the same, nor is code.

    >>> told_elsewhere("2007: it began. In 2007 it ended.", "2007", [(19, 23)], [])
    True
    """
    if not word[-1].isdigit():
        return False
    again = re.finditer(rf"(?<![\w.,]){re.escape(word)}(?!\w|[.,]\d)", text)
    return any(m.span() not in spans and not any(start <= m.start() < end for start, end in kept) for m in again)


def in_range(before: str, after: str) -> bool:
    """Tell whether a number is one of two, "2 or 3", whose order would tell that the other took its place.

    >>> in_range("take 2 or ", " eggs"), in_range("take ", " or maybe 3"), in_range("take ", " eggs")
    (True, True, False)
    """
    return bool(_RANGE_BEFORE.search(before) or _RANGE_AFTER.match(after))


def polar(text: str, end: int) -> bool:
    """Tell whether a word follows in the sentence that goes with a negation only, or means less without it.

    >>> polar("I do not want any.", 8), polar("I do not want it.", 8)
    (True, False)
    """
    return bool(_POLAR.match(text, end))


def _sentence(text: str, span: Span) -> Span:
    start = max(text.rfind(mark, 0, span[0]) for mark in ".!?\n") + 1
    end = _SENTENCE_END.search(text, span[1])
    return start, end.start() if end else len(text)
