"""Sentences and passages: the small text tools that several axioms share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import filterfalse
from random import Random

from prefmodel.splits import words

CACHED = 1 << 12
"""Texts of which is remembered what was found: those of some threads, which an axiom looks at again and again."""

_ABBREVIATION = re.compile(r"(?:\b(?:[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|Inc|Ltd|Co|No|Fig|approx|al|e\.g|i\.e))\.$")
_NUMBERED = re.compile(r"\b(?:nos?|pp|vol|sec|ch|eq)\.$", re.IGNORECASE)
# It begins with the characters that may end a sentence, so that a search skips all others at once.
_BOUNDARY = re.compile(
    r"[.!?\n](?:(?<!\n)([\"')\]”’]*)\s+(?=[\"'(\[]*[A-Z0-9])|(?<=\n)\s*\n|(?<=\n)(?=\s*(?:[-*•]|\d+[.)])\s))"
)
_LAST = 10  # characters of a piece that tell whether it ends in an abbreviation
_LIST_MARK = re.compile(r"\s*\d+\.")
_WEAK = frozenset(
    """
    a about after all also an and any are as at be because been before being both but by can could did do does each
    for from get had has have he her him his how i if in into is it its just like may me might more most my no not
    of off on one only or other our out over own she should so some such than that the their them then there these
    they this those through to too under up us very was we were what when where which while who why will with would
    you your
    """.split()  # noqa: SIM905
)

_DROPPED = _WEAK | set(map(chr, range(128)))  # and single characters, of which these are nearly all


def sentences(text: str) -> list[str]:
    """Split a text into sentences; list items and paragraphs end a sentence too.

    >>> sentences("Dr. Smith left. He was 40.")
    ['Dr. Smith left.', 'He was 40.']
    >>> sentences("1. Boil it. 2. Eat it.")
    ['1. Boil it.', '2. Eat it.']
    """
    out: list[str] = []
    start = 0
    for match in _BOUNDARY.finditer(text):
        piece = text[start : match.start() if match.group(1) is None else match.end(1)]
        if _ABBREVIATION.search(piece[-_LAST:]) or _LIST_MARK.fullmatch(piece):
            continue
        if text[match.end() : match.end() + 1].isdigit() and _NUMBERED.search(piece):  # "no. 5", but "I said no. Go."
            continue
        out.append(piece.strip())
        start = match.end()
    out.append(text[start:].strip())
    return [piece for piece in out if piece]


@lru_cache(maxsize=CACHED)
def content_words(text: str) -> frozenset[str]:
    """Return the distinct words of a text that carry meaning.

    >>> sorted(content_words("Why is the sky blue?"))
    ['blue', 'sky']
    """
    kept = filterfalse(_DROPPED.__contains__, words(text))
    return frozenset(kept if text.isascii() else (word for word in kept if len(word) > 1))


def overlap(a: AbstractSet[str], b: AbstractSet[str]) -> float:
    """Return the share of the smaller set that the two sets have in common, 0 to 1.

    >>> overlap({"sky", "blue"}, {"blue", "sea", "deep"})
    0.5
    """
    return len(a & b) / max(1, min(len(a), len(b)))


_BROKEN = re.compile(
    r"^To [a-z]+ (?!.*, )|\(\s*[,;.)]|[,;:] ?[,;]|\. [,;]|\d{4}[A-Z]|``|''|\[[^\]]{1,9}\]|\(listen|[\u0250-\u02ff]"
)
"""Marks of a sentence that is none any more."""


def passage_sentences(passages: Sequence[str]) -> list[str]:
    """Return the whole sentences of passages: 5 to 60 words, ending as a sentence ends, without headings.

    Left out are what a title announces ("To determine …") and what has lost a part: "(, )", ". ,", "1935April", or
    holds what is no text: "[2]", "``", phonetics.

    >>> passage_sentences(["Beer\\nBeer\\n\\nBeer is one of the oldest drinks in the world. It is"])
    ['Beer is one of the oldest drinks in the world.']
    """
    whole = (
        s for passage in passages for line in passage.split("\n") for s in sentences(line) if not _BROKEN.search(s)
    )
    found = (s.split() for s in whole)
    return list(dict.fromkeys(" ".join(s) for s in found if s[-1][-1] in ".!?" and 5 <= len(s) <= 60))


def holds(texts: Sequence[str], sentence: str) -> bool:
    """Tell whether one of the texts has a sentence, up to case, punctuation and spaces.

    >>> holds(["Monks brew it. Czechs drink it!"], "Czechs  drink it."), holds(["Monks brewed it."], "Monks brew it.")
    (True, False)
    """
    wanted = plain(sentence)
    return any(wanted in plain(text) for text in texts)


@lru_cache(maxsize=CACHED)
def plain(text: str) -> str:
    """Return the words of a text, each with a space before and behind it.

    >>> plain("Why is it so?")
    ' why is it so '
    """
    return f" {' '.join(words(text))} "


def weave(parts: Sequence[str], extra: Sequence[str], places: Sequence[int]) -> str:
    """Join `parts` to one text with `extra[i]` put before part `places[i]`; the part before it gets a full stop.

    An empty `extra[i]` leaves the full stop only, so that the two sides of a pair differ in nothing else.

    >>> weave(["A", "B."], ["X."], [1])
    'A. X. B.'
    """
    out = [part if part[-1] in ".!?:;," or i + 1 not in places else part + "." for i, part in enumerate(parts)]
    for place, sentence in sorted(zip(places, extra, strict=True), reverse=True):
        out.insert(place, sentence)
    return " ".join(piece for piece in out if piece)


def similar_length(pool: Sequence[str], like: str, rng: Random, slack: float = 0.25) -> str | None:
    """Return a random sentence of `pool` whose characters are within `slack` of those of `like`, or None."""
    fits = [s for s in pool if abs(len(s) - len(like)) <= slack * len(like)]
    return rng.choice(fits) if fits else None


def matched_lengths(a: str, b: str, slack: float = 0.25) -> bool:
    """Tell whether two texts have about the same length, so that length does not tell which is better."""
    return abs(len(a) - len(b)) <= slack * max(len(a), len(b))


_FICTION = re.compile(
    r"\b(?:write|tell|compose|create|make up|give|imagine)\b.*\b(?:story|tale|poem|joke|song|lyrics|haiku|limerick|"
    r"plot|novel|letter|review|e-?mail|dialogue|scene|script|speech)\b",
    re.IGNORECASE,
)


def asks_for_fiction(question: str) -> bool:
    """Tell whether a question asks for a tale, a poem or a letter, whose answer is neither true nor complete.

    >>> asks_for_fiction("Write a story about a dragon"), asks_for_fiction("What is a dragon?")
    (True, False)
    """
    return bool(_FICTION.search(question[:200]))
