"""Chunks of an answer that stand alone: from any of them on, the text may be left out or another may take its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from axioms.text import sentences

_FRAGILE = re.compile(
    r"```|^ {4,}\S|\t|^\s*>|^\s*\||^\s*(?:\d+|[a-z])[.)]|\$\$|\\begin|!\[|&\w+;|^\W*(?:edit|update|tl;? ?dr)\b",
    re.MULTILINE | re.IGNORECASE,
)
"""Code, quotations, tables, numbered lists, formulas, pictures and afterthoughts: a part of them makes no text."""
_COURTESY = re.compile(
    r"\b(?:thanks?|hope|luck|sorry|welcome|cheers|congrat\w*|best wishes|upvote\w*|downvote\w*|lol|haha\w*)\b",
    re.IGNORECASE,
)
_SHORT = 160
"""A chunk of fewer characters that thanks or wishes says nothing else."""
_LEANING = frozenset(
    """
    additionally again also alternatively although and another anyway as because besides both but consequently
    conversely either else especially even finally first firstly for furthermore hence here how however including
    instead just last lastly like likewise maybe meanwhile moreover neither nevertheless next no nonetheless nope nor
    not once one ones or other others otherwise overall plus rather same second secondly similarly since so still then
    there therefore third thirdly though thus too unless well what when where which who why yeah yes yet
    """.split()  # noqa: SIM905
)
_POINTING = frozenset(
    "he her hers him his it its it's latter she such that that's their them these they they're this those".split()  # noqa: SIM905
)
_LOOK = 4
"""A pronoun among so many words at the start of a sentence points back to the sentence before it."""
_ITEM = re.compile(r"\s*[-*•+–]\s")
_WORD = re.compile(r"[\w']+")
_OPENING = re.compile(r"[\"'“‘*_\[]*[A-Z0-9]")
_ENDED = re.compile(r"[.!][\"')\]”’*_]*$")


@dataclass(frozen=True, slots=True)
class Chunk:
    """Sentences that go or stay together.

    Args:
        text: the sentences as they stand in the answer.
        space: what stands between it and the chunk before it.
        opens: whether a text may begin with it.
    """

    text: str
    space: str
    opens: bool = True


def chunks(text: str) -> list[Chunk]:
    """Cut a text into runs of sentences that stand alone; an empty list where that cannot be done.

    A sentence stays with the one before it if it opens with a pronoun or a connective, if it is an item of a list, or
    if the one before it asks or announces something. Thanks and wishes are left out.

    >>> [chunk.text for chunk in chunks("Beer is old. It comes from Iraq. Monks brew: ale, stout. Drink up. Cheers!")]
    ['Beer is old. It comes from Iraq.', 'Monks brew: ale, stout.', 'Drink up.']
    >>> chunks("> Is it so?\\n\\nIt is.")
    []
    """
    if _FRAGILE.search(text):
        return []
    out: list[Chunk] = []
    end = 0
    for sentence in sentences(text):
        start = text.index(sentence, end)
        space = text[end:start]
        end = start + len(sentence)
        if not out:
            out.append(Chunk(sentence, space, opens=not leans(sentence)))
        elif leans(sentence) or not _ENDED.search(out[-1].text):
            out[-1] = Chunk(out[-1].text + space + sentence, out[-1].space, out[-1].opens)
        else:
            out.append(Chunk(sentence, space))
    return [chunk for chunk in out if len(chunk.text) >= _SHORT or not _COURTESY.search(chunk.text)]


def joined(parts: Sequence[Chunk]) -> str:
    """Return the text of some chunks, spaced as they were.

    >>> joined([Chunk("One.", ""), Chunk("Two.", "\\n\\n")])
    'One.\\n\\nTwo.'
    """
    return "".join(part.space + part.text for part in parts).strip()


def leans(sentence: str) -> bool:
    """Tell whether a sentence says little without the one before it.

    >>> leans("He was also a poet."), leans("Monks were also poets.")
    (True, False)
    """
    opening = [word.lower() for word in _WORD.findall(sentence.replace("’", "'"))[:_LOOK]]
    return (
        not opening
        or opening[0] in _LEANING
        or not _POINTING.isdisjoint(opening)
        or not _OPENING.match(sentence)
        or bool(_ITEM.match(sentence))
    )
