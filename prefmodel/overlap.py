"""Near-duplicate questions: keeps what an evaluation asks out of what a model is trained on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from sys import intern

from prefmodel.splits import question_text, words
from prefmodel.types import Question

OPENING_WORDS = 12
GRAM_WORDS = 5
GRAM_TEXT_WORDS = 8
"""Texts of fewer words than this have too few 5-grams for a share of them to mean anything."""
CONTAINMENT = 0.5

_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ")

Opening = tuple[str, ...]
Gram = tuple[str, ...]


class QuestionIndex:
    """Finds the indexed question that a question nearly repeats.

    Two texts are near-duplicates if, in lower case and without punctuation,

    - their first 12 words are the same (a text of fewer words has to be the same as a whole), or
    - both have at least 8 words, and at least half of the distinct word 5-grams of the one with fewer of them are
      also in the other.

    A dialogue, as messages or as text of the form `Human: … Assistant: …`, is compared as a whole and by each message
    of its user. Of several matches the first rule goes first, then the greatest share, then the earliest question.

    Args:
        questions: what to index, here the questions of the evaluation sets.

    >>> index = QuestionIndex(["How do I keep a sourdough starter alive over a long summer holiday?"])
    >>> index.match("Help! How do I keep a sourdough starter alive over a long holiday?")
    'How do I keep a sourdough starter alive over a long summer holiday?'
    >>> index.match("How do I keep a bonsai alive?") is None
    True
    """

    def __init__(self, questions: Iterable[Question]):
        self._texts: list[str] = []
        self._openings: dict[Opening, int] = {}
        self._postings: dict[Gram, list[int]] = {}
        self._owners: list[int] = []  # the question of each indexed part
        self._sizes: list[int] = []  # the distinct 5-grams of each indexed part
        for question in questions:
            self._add(question)

    def __len__(self) -> int:
        """Return the number of indexed questions."""
        return len(self._texts)

    def match(self, question: Question) -> str | None:
        """Return the indexed question that `question` nearly repeats (a dialogue as one text), or None."""
        parts = list(_parts(question))
        same = [self._openings[part[:OPENING_WORDS]] for part in parts if part[:OPENING_WORDS] in self._openings]
        if same:
            return self._texts[min(same)]
        similar = [found for part in parts if (found := self._most_contained(part)) is not None]
        return self._texts[-max(similar)[1]] if similar else None

    def _add(self, question: Question) -> None:
        owner = len(self._texts)
        self._texts.append(question_text(question))
        for part in _parts(question):
            self._openings.setdefault(part[:OPENING_WORDS], owner)
            grams = _grams(tuple(map(intern, part)))  # one copy of each word, not one for each place it stands
            if grams:
                for gram in grams:
                    self._postings.setdefault(gram, []).append(len(self._owners))
                self._owners.append(owner)
                self._sizes.append(len(grams))

    def _most_contained(self, part: Opening) -> tuple[float, int] | None:
        """Return (share of 5-grams, minus the question's number) of the best match of a part, or None."""
        grams = _grams(part)
        shared = Counter(i for gram in grams for i in self._postings.get(gram, ()))
        shares = ((count / min(len(grams), self._sizes[i]), -self._owners[i]) for i, count in shared.items())
        return max((share for share in shares if share[0] >= CONTAINMENT), default=None)


def _grams(part: Opening) -> set[Gram]:
    if len(part) < GRAM_TEXT_WORDS:
        return set()
    return set(zip(*(part[start:] for start in range(GRAM_WORDS)), strict=False))


def _parts(question: Question) -> Iterator[Opening]:
    """Yield the words of the whole question and, for a dialogue, of each message of its user."""
    whole = question_text(question)
    yield tuple(words(whole)) or (whole.strip(),)  # "???" has no words, and should match only itself
    for message in _user_messages(question):
        if found := tuple(words(message)):
            yield found


def _user_messages(question: Question) -> list[str]:
    if not isinstance(question, str):
        return [message.content for message in question if message.role == "user"]
    if not question.startswith("Human: "):
        return []
    _, *turns = _TURN.split(question)  # speaker, text, speaker, text, …
    return [text for speaker, text in zip(turns[::2], turns[1::2], strict=True) if speaker == "Human"]
