"""Threads with a similar but different question, by BM25, and the couples they make: where hard negatives come from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from random import Random

from axioms.text import content_words, plain
from prefmodel.errors import missing_extra
from prefmodel.types import Thread

CHUNK = 512
"""Questions looked up at once; it bounds the memory."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A thread with a similar question.

    Args:
        index: of the thread in the sequence that was searched.
        rank: 0 for the most similar.
        similarity: BM25 score as a share of the score that the question gets against itself, or a cosine.
        found_by: "bm25" or "dense".
    """

    index: int
    rank: int
    similarity: float
    found_by: str = "bm25"


def neighbours(
    threads: Sequence[Thread], depth: int = 20, same: float = 0.6, texts: Sequence[str] | None = None
) -> Iterator[list[Neighbour]]:
    """Yield for each thread its most similar threads, best first.

    Threads are compared within their source only, so that style does not tell a negative from a positive. A question
    that shares `same` or more of all content words of both counts as the same question and is left out.

    Args:
        threads: the threads to search and to search for.
        depth: look at so many candidates for each thread.
        same: share of content words (Jaccard) from which two questions are taken for near-duplicates.
        texts: what is searched, of each thread; by default its question, which alone tells near-duplicates.

    Raises:
        MissingExtraError: bm25s is not installed.

    >>> from prefmodel.types import Answer
    >>> ask = lambda i, q: Thread(f"demo/{i}", "demo", q, (Answer("text"),))
    >>> found = list(neighbours([ask(0, "How do I store coffee beans?"), ask(1, "Which coffee beans are best?"),
    ...                          ask(2, "How do I store coffee beans")]))
    >>> [n.index for n in found[0]]
    [1]
    """
    found: dict[int, list[Neighbour]] = {}
    for members in by_source(threads):
        found.update(_within(threads, texts, members, depth, same))
    yield from (found[index] for index in range(len(threads)))


def strangers(threads: Sequence[Thread], found: Iterable[Sequence[Neighbour]]) -> list[list[Neighbour]]:
    """Return the neighbours of each thread without those that share a passage with it: what one says, both know.

    Args:
        threads: all threads.
        found: the neighbours of each.

    >>> ask = lambda i, passage: Thread(f"demo/{i}", "demo", "Why?", (), (passage,))
    >>> threads = [ask(0, "Monks brew it."), ask(1, "Czechs drink it."), ask(2, "Monks brew it.")]
    >>> [hit.index for hit in strangers(threads, [[Neighbour(1, 0, 0.4), Neighbour(2, 1, 0.2)], [], []])[0]]
    [1]
    """
    passages = [{plain(passage) for passage in thread.passages if passage.strip()} for thread in threads]
    return [
        [hit for hit in hits if own.isdisjoint(passages[hit.index])] for own, hits in zip(passages, found, strict=True)
    ]


def by_source(threads: Sequence[Thread]) -> list[list[int]]:
    """Return the indices of the threads of each source."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, thread in enumerate(threads):
        groups[thread.source].append(index)
    return list(groups.values())


def couples(found: Sequence[Sequence[Neighbour]], rng: Random, uses: int = 1) -> Iterator[tuple[int, int, Neighbour]]:
    """Yield threads two by two, each couple once: (index of the one, index of the other, how it was found).

    An axiom that builds a pair for either of the two, with their answers in turn on the chosen and on the rejected
    side, has every text on both sides equally often: only the question tells which is better, neither words nor length.

    Args:
        found: the neighbours of each thread.
        rng: decides the order, and which of the neighbours that stand in the fewest couples is taken.
        uses: a thread looks for neighbours until it stands in so many couples; being found, it may stand in more.

    >>> [sorted(couple[:2]) for couple in couples([[Neighbour(1, 0, 0.4)], [Neighbour(0, 0, 0.4)]], Random(0))]
    [[0, 1]]
    """
    used: Counter[int] = Counter()
    seen: set[frozenset[int]] = set()
    for one in rng.sample(range(len(found)), len(found)):
        while used[one] < uses:
            free = [hit for hit in found[one] if frozenset((one, hit.index)) not in seen]
            if not free:
                break
            least = min(used[hit.index] for hit in free)
            hit = rng.choice([hit for hit in free if used[hit.index] == least])
            seen.add(frozenset((one, hit.index)))
            used.update((one, hit.index))
            yield one, hit.index, hit


def closest(found: Sequence[Sequence[Neighbour]], uses: int = 1) -> Iterator[tuple[int, int, Neighbour]]:
    """Yield the couples of `couples`, but the most similar two first, so that what they exchange fits best.

    Args:
        found: the neighbours of each thread.
        uses: a thread looks for neighbours until it stands in so many couples; being found, in up to twice as many.

    >>> near, far = Neighbour(1, 0, 0.4), Neighbour(2, 1, 0.2)
    >>> [couple[:2] for couple in closest([[near, far], [], []])]
    [(0, 1), (0, 2)]
    """
    used: Counter[int] = Counter()
    seen: set[frozenset[int]] = set()
    hits = [(one, hit) for one, those in enumerate(found) for hit in those]
    for one, hit in sorted(hits, key=lambda pair: (-pair[1].similarity, pair[0], pair[1].index)):
        both = one, hit.index
        counts = sorted(used[index] for index in both)
        if frozenset(both) not in seen and counts[0] < uses and counts[1] < 2 * uses:
            seen.add(frozenset(both))
            used.update(both)
            yield *both, hit


def shared(a: AbstractSet[str], b: AbstractSet[str]) -> float:
    """Return the share of all words of two sets that both have (Jaccard), 0 to 1.

    >>> shared({"sky", "blue"}, {"blue"})
    0.5
    """
    both = len(a & b)
    return both / max(1, len(a) + len(b) - both)


def _within(
    threads: Sequence[Thread], texts: Sequence[str] | None, members: list[int], depth: int, same: float
) -> Iterator[tuple[int, list[Neighbour]]]:
    try:
        import bm25s
    except ImportError:
        raise missing_extra("mining hard negatives", "axioms") from None
    vocabulary = [content_words(threads[i].question) for i in members]
    searched = vocabulary if texts is None else [content_words(texts[i]) for i in members]
    if len(members) < 2 or not any(searched):
        yield from ((i, []) for i in members)
        return
    tokens = [sorted(w) for w in searched]
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    for start in range(0, len(members), CHUNK):
        queries = tokens[start : start + CHUNK]
        hits, scores = index.retrieve(queries, k=min(depth + 1, len(members)), show_progress=False)
        # As lists of Python's numbers, which are faster one by one than those of numpy.
        for own, row in enumerate(zip(hits.tolist(), scores.tolist(), strict=True), start):
            best = max(row[1][0], 1e-9)
            kept = [
                (hit, score / best)
                for hit, score in zip(*row, strict=True)
                if hit != own and score > 0 and shared(vocabulary[own], vocabulary[hit]) < same
            ]
            yield members[own], [Neighbour(members[hit], rank, share) for rank, (hit, share) in enumerate(kept)]
