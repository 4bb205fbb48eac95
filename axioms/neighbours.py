"""Threads with a similar but different question, by BM25: the source of hard negatives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from axioms.text import content_words
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
        similarity: BM25 score as a share of the score that the question gets against itself.
    """

    index: int
    rank: int
    similarity: float


def neighbours(threads: Sequence[Thread], depth: int = 20, same: float = 0.6) -> Iterator[list[Neighbour]]:
    """Yield for each thread its most similar threads, best first.

    Threads are compared within their source only, so that style does not tell a negative from a positive. A question
    that shares `same` or more of all content words of both counts as the same question and is left out.

    Args:
        threads: the threads to search and to search for.
        depth: look at so many candidates for each thread.
        same: share of content words (Jaccard) from which two questions are taken for near-duplicates.

    >>> from prefmodel.types import Answer
    >>> ask = lambda i, q: Thread(f"demo/{i}", "demo", q, (Answer("text"),))
    >>> found = list(neighbours([ask(0, "How do I store coffee beans?"), ask(1, "Which coffee beans are best?"),
    ...                          ask(2, "How do I store coffee beans")]))
    >>> [n.index for n in found[0]]
    [1]
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, thread in enumerate(threads):
        groups[thread.source].append(index)
    found: dict[int, list[Neighbour]] = {}
    for members in groups.values():
        found.update(_within(threads, members, depth, same))
    for index in range(len(threads)):
        yield found[index]


def _shared(a: set[str], b: set[str]) -> float:
    return len(a & b) / max(1, len(a | b))


def _within(
    threads: Sequence[Thread], members: list[int], depth: int, same: float
) -> Iterator[tuple[int, list[Neighbour]]]:
    try:
        import bm25s
    except ImportError:
        raise missing_extra("mining hard negatives", "evaluate") from None
    vocabulary = [content_words(threads[i].question) for i in members]
    if len(members) < 2 or not any(vocabulary):
        yield from ((i, []) for i in members)
        return
    tokens = [sorted(w) for w in vocabulary]
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    for start in range(0, len(members), CHUNK):
        queries = tokens[start : start + CHUNK]
        hits, scores = index.retrieve(queries, k=min(depth + 1, len(members)), show_progress=False)
        for row, own in enumerate(range(start, start + len(queries))):
            best = max(float(scores[row][0]), 1e-9)
            kept = [
                (int(hit), float(score) / best)
                for hit, score in zip(hits[row], scores[row], strict=True)
                if hit != own and score > 0 and _shared(vocabulary[own], vocabulary[hit]) < same
            ]
            yield members[own], [Neighbour(members[hit], rank, share) for rank, (hit, share) in enumerate(kept)]
