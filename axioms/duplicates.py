"""Pairs that repeat others: near ones within a block, exact ones over a whole run; and caps and limits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from prefmodel.overlap import NEAR, NearIndex, jaccard
from prefmodel.splits import asked_text, question_text, words
from prefmodel.types import PreferencePair, Question

KEYS = NDArray[np.uint64]
PLACES = NDArray[np.bool_]


class NearDuplicates:
    """Finds pairs of one axiom that nearly repeat an earlier one.

    Two pairs are near-duplicates if their questions are (see `prefmodel.overlap.NearIndex`) and their chosen and
    rejected answers each share `NEAR` of their distinct words. Pairs of one thread are not compared: an axiom that
    changes a few words of one answer in several ways means to.

    Raises:
        MissingExtraError: datasketch is not installed.

    >>> pair = PreferencePair("Why is it so?", "It rained a lot.", "No idea.", axiom="demo", source="a", thread_id="1")
    >>> again = PreferencePair("Why is it so", "It rained a lot!", "No idea", axiom="demo", source="a", thread_id="2")
    >>> near = NearDuplicates()
    >>> near.seen(pair), near.seen(again)
    (False, True)
    """

    def __init__(self) -> None:
        self._index = NearIndex()
        self._groups: dict[Question, int] = {}
        self._pairs: dict[tuple[str, int], list[PreferencePair]] = defaultdict(list)

    def seen(self, pair: PreferencePair) -> bool:
        """Tell whether a pair nearly repeats one of its axiom that this was asked of before; if not, remember it."""
        earlier = self._pairs[pair.axiom, self._group(pair.question)]
        if any(_near(pair, other) for other in earlier):
            return True
        earlier.append(pair)
        return False

    def forget(self) -> None:
        """Forget the pairs, but not which questions are near: the pairs of the next axiom ask the same."""
        self._pairs.clear()

    def _group(self, question: Question) -> int:
        """Return the number that near-duplicates of a question share."""
        if question not in self._groups:
            self._groups[question] = self._index.match_or_add(asked_text(question))
        return self._groups[question]


def _near(a: PreferencePair, b: PreferencePair) -> bool:
    if a.thread_id is not None and a.thread_id == b.thread_id:
        return False
    sides = (frozenset(words(text)) for text in (a.chosen, b.chosen, a.rejected, b.rejected))
    return jaccard(next(sides), next(sides)) >= NEAR and jaccard(next(sides), next(sides)) >= NEAR


def pair_key(pair: PreferencePair) -> int:
    """Return 64 bits that pairs share whose texts are the same up to case and spaces."""
    return _key(question_text(pair.question), pair.chosen, pair.rejected)


@lru_cache(maxsize=1 << 14)
def question_key(question: Question) -> int:
    """Return 64 bits that questions share which are the same up to case, spaces, punctuation and system messages."""
    text = asked_text(question)
    return _key(" ".join(words(text)) or text)


def _key(*texts: str) -> int:
    whole = "\0".join(" ".join(text.lower().split()) for text in texts)
    return int.from_bytes(hashlib.blake2b(whole.encode("utf-8", "replace"), digest_size=8).digest(), "big")


def priorities(keys: KEYS, seed: int) -> KEYS:
    """Return a random number for each key, the same for the same seed: uint64 [n].

    Taking those with the smallest draws at random, whatever the order in which they come.

    Source: Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014 (its mixing function).
    """
    z = keys + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def first_of_each(keys: KEYS) -> PLACES:
    """Return where a key stands for the first time, bool [n].

    >>> first_of_each(np.array([5, 7, 5], np.uint64))
    array([ True,  True, False])
    """
    first = np.zeros(len(keys), bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return first


def at_most(number: int, groups: KEYS, order: KEYS) -> PLACES:
    """Return where one of the `number` smallest of its group stands, bool [n].

    Args:
        number: how many of each group are kept.
        groups: [n], what each belongs to.
        order: [n], the smallest are kept, and of equal ones the first.

    >>> at_most(1, np.array([1, 1, 2], np.uint64), np.array([9, 3, 5], np.uint64))
    array([False,  True,  True])
    """
    sorted_ = np.lexsort((order, groups))
    begins = np.r_[True, groups[sorted_][1:] != groups[sorted_][:-1]] if len(groups) else np.zeros(0, bool)
    places = np.arange(len(groups))
    rank = places - np.maximum.accumulate(np.where(begins, places, 0))
    kept = np.zeros(len(groups), bool)
    kept[sorted_[rank < number]] = True
    return kept


@dataclass(frozen=True, slots=True)
class Choice:
    """Which pairs of an axiom are kept.

    Args:
        kept: bool [n].
        order: [n], a random number for each: those with the smallest are a random sample.
        left_out: how many repeat another, are over the cap of their question, and are over the limit.
    """

    kept: PLACES
    order: KEYS
    left_out: tuple[int, int, int]


def chosen(keys: KEYS, questions: KEYS, seed: int, per_question: int, limit: int | None) -> Choice:
    """Choose among all pairs of one axiom: the first of each, then some of each question, then some of all.

    What is drawn depends on the texts of the pairs and on the seed only. It takes some 50 bytes a pair.

    Args:
        keys: [n], `pair_key` of each.
        questions: [n], `question_key` of each.
        seed: of the draws.
        per_question: at most so many of one question.
        limit: at most so many in all; None for all.
    """
    order = priorities(keys, seed)
    places = np.flatnonzero(first_of_each(keys))
    numbers = [len(keys), len(places)]
    places = places[at_most(per_question, questions[places], order[places])]
    numbers.append(len(places))
    places = places[np.sort(np.argsort(order[places], kind="stable")[:limit])]
    numbers.append(len(places))
    kept = np.zeros(len(keys), bool)
    kept[places] = True
    repeated, over_cap, over_limit = (before - after for before, after in pairwise(numbers))
    return Choice(kept, order, (repeated, over_cap, over_limit))
