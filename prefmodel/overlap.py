"""Texts that overlap: keeps what an evaluation asks, and what it says, out of what a model is trained on."""

from __future__ import annotations

import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from sys import intern
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefmodel.errors import missing_extra
from prefmodel.splits import asked_text, words
from prefmodel.types import Question

OPENING_WORDS = 12
GRAM_WORDS = 5
GRAM_TEXT_WORDS = 8
"""Texts of fewer words than this have too few 5-grams for a share of them to mean anything."""
CONTAINMENT = 0.5

LONG_GRAM = 13
"""So many words in a row are taken for a copy."""
_ANCHOR = 7  # every run of 13 words holds a run of 7 that begins at a multiple of 7
NEAR = 0.8
"""Share of distinct words and pairs of words (Jaccard) from which two texts are near-duplicates."""
_PERMUTATIONS, _BANDS = 32, 8  # a pair that shares .8 is met with a chance of .98, and each one met is checked

REASONS = ("same question", "near question", "13 words")
"""Why a pair overlaps with an evaluation, in the order in which it is looked at."""

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
    of its user; messages of the system, which many dialogues share, are left out. Of several matches the first rule
    goes first, then the greatest share, then the earliest question.

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
        if not self._texts:
            return None
        parts = list(_parts(question))
        same = [self._openings[part[:OPENING_WORDS]] for part in parts if part[:OPENING_WORDS] in self._openings]
        if same:
            return self._texts[min(same)]
        similar = [found for part in parts if (found := self._most_contained(part)) is not None]
        return self._texts[-max(similar)[1]] if similar else None

    def _add(self, question: Question) -> None:
        owner = len(self._texts)
        self._texts.append(asked_text(question))
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
    whole = asked_text(question)
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


class GramIndex:
    """Tells whether 13 words in a row of a text are also in an indexed text; case and punctuation do not matter.

    It holds 16 bytes for each word that was indexed. It belongs to its process, whose hashes of strings it uses.

    Args:
        texts: what to index, here the texts of the evaluation sets.

    >>> index = GramIndex(["one two three four five six seven eight nine ten eleven twelve thirteen"])
    >>> index.match("So: One, two, three, four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen!")
    True
    """

    def __init__(self, texts: Iterable[str]):
        grams, anchors = array("q"), array("q")
        for text in texts:
            own = words(text)
            grams.extend(_hashes(own, LONG_GRAM))
            anchors.extend(_hashes(own, _ANCHOR))
        self._grams, self._anchors = (np.unique(np.array(found, np.int64)) for found in (grams, anchors))

    def __reduce__(self) -> Any:
        raise TypeError("a GramIndex does not leave its process; build it anew")

    def match(self, text: str) -> bool:
        """Tell whether 13 words in a row of `text` are in an indexed text."""
        if not len(self._grams):
            return False
        own = words(text)
        # A look at every seventh place is enough to rule out nearly all texts.
        return _any_in(self._anchors, _hashes(own, _ANCHOR, _ANCHOR)) and _any_in(self._grams, _hashes(own, LONG_GRAM))


def _hashes(text: Sequence[str], size: int, step: int = 1) -> list[int]:
    return [hash(tuple(text[start : start + size])) for start in range(0, len(text) - size + 1, step)]


def _any_in(known: NDArray[np.int64], hashes: list[int]) -> bool:
    wanted = np.array(hashes, np.int64)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return bool((known[places] == wanted).any())


class NearIndex:
    """Finds the text that a text nearly repeats, among very many (MinHash with bands; each one met is checked).

    Two texts are near-duplicates if they share `NEAR` of their distinct words and pairs of words.

    Source: Broder, On the resemblance and containment of documents, 1997.

    Raises:
        MissingExtraError: datasketch is not installed.

    >>> index = NearIndex()
    >>> index.add("How do I keep my old sourdough starter alive over a long summer?")
    0
    >>> index.match("How do I keep my old sourdough starter alive, over a long summer holiday?")
    0
    >>> index.match("How do I keep a bonsai alive?") is None
    True
    """

    def __init__(self) -> None:
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError:
            raise missing_extra("the search for near-duplicates", "axioms") from None
        self._empty = MinHash(num_perm=_PERMUTATIONS, hashfunc=zlib.crc32)
        self._bands = MinHashLSH(num_perm=_PERMUTATIONS, params=(_BANDS, _PERMUTATIONS // _BANDS))
        self._shingles: list[frozenset[str]] = []

    def add(self, text: str) -> int:
        """Index a text and return its number, from 0."""
        shingles = _shingles(text)
        return self._insert(shingles, self._minhash(shingles))

    def match(self, text: str) -> int | None:
        """Return the number of the earliest indexed text that `text` nearly repeats, or None."""
        if not self._shingles:
            return None
        shingles = _shingles(text)
        return self._met(shingles, self._minhash(shingles))

    def match_or_add(self, text: str) -> int:
        """Return what `match` does, or index the text and return its number, in little more time than either takes.

        >>> index = NearIndex()
        >>> [index.match_or_add(text) for text in ("Why is it so?", "How is that?", "Why is it so")]
        [0, 1, 0]
        """
        shingles = _shingles(text)
        minhash = self._minhash(shingles)
        found = self._met(shingles, minhash)
        return self._insert(shingles, minhash) if found is None else found

    def _insert(self, shingles: frozenset[str], minhash: Any) -> int:
        self._bands.insert(len(self._shingles), minhash)
        self._shingles.append(shingles)
        return len(self._shingles) - 1

    def _met(self, shingles: frozenset[str], minhash: Any) -> int | None:
        met = sorted(self._bands.query(minhash))
        return next((number for number in met if jaccard(shingles, self._shingles[number]) >= NEAR), None)

    def _minhash(self, shingles: frozenset[str]) -> Any:
        minhash = self._empty.copy()
        minhash.update_batch([shingle.encode("utf-8", "replace") for shingle in shingles])
        return minhash


def _shingles(text: str) -> frozenset[str]:
    own = words(text)
    return frozenset((*own, *map(" ".join, pairwise(own)))) or frozenset([text.strip()])


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """Return the share of all elements of two sets that both have, 1 for two empty ones.

    >>> jaccard(frozenset("abc"), frozenset("bcd"))
    0.5
    """
    both = len(a & b)
    return both / (len(a) + len(b) - both) if a or b else 1.0


class Exclusions:
    """What may not be trained on: the questions and the texts of evaluation sets.

    Args:
        questions: a pair is excluded whose question nearly repeats one of these; see `QuestionIndex`.
        texts: or whose question or an answer has 13 words in a row of one of these; see `GramIndex`.
        near: whether questions are also looked for by MinHash; see `NearIndex`, and for what it raises.

    >>> exclusions = Exclusions(["How do I keep a sourdough starter alive over a long summer holiday?"])
    >>> exclusions.reason("How do I keep a sourdough starter alive over a long holiday?", ["Feed it."])
    'same question'
    """

    def __init__(self, questions: Iterable[Question] = (), texts: Iterable[str] = (), near: bool = False):
        questions = list(questions)
        self._questions = QuestionIndex(questions)
        self._texts = GramIndex(texts)
        self._near = NearIndex() if near and questions else None
        if self._near:
            for text in dict.fromkeys(map(asked_text, questions)):
                self._near.add(text)
        self._of_question = lru_cache(maxsize=1 << 14)(self._search)  # the pairs of a question come again and again

    def reason(self, question: Question, answers: Iterable[str]) -> str | None:
        """Return which of `REASONS` excludes a pair, or None."""
        return self._of_question(question) or ("13 words" if any(map(self._texts.match, answers)) else None)

    def _search(self, question: Question) -> str | None:
        if self._questions.match(question) is not None:
            return "same question"
        text = asked_text(question)
        if self._near and self._near.match(text) is not None:
            return "near question"
        return "13 words" if self._texts.match(text) else None
