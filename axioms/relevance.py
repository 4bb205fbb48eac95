"""Axiom 1, relevance: an answer to this question is better than an answer to a similar but different one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from axioms.neighbours import neighbours
from prefmodel.types import Answer, PreferencePair, Thread

PRINCIPLE = "relevance"


@dataclass(frozen=True, slots=True)
class RelevanceConfig:
    """Which neighbours serve as hard negatives.

    Args:
        depth: a negative is drawn from so many most similar threads.
        same: share of content words from which two questions count as the same; see `neighbours`.
        nearest: a negative's BM25 similarity is below this; the answer to a nearer question may well answer both.
        least_words: of both answers; from "Drums" or "2000" nobody can tell which question it answers.
        pairs_per_thread: negatives for each thread.
    """

    depth: int = 10
    same: float = 0.6
    nearest: float = 0.5
    least_words: int = 4
    pairs_per_thread: int = 1


def build(threads: Sequence[Thread], rng: Random, config: RelevanceConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of an answer of the thread and an answer of a thread with a similar question (BM25).

    The rank and the similarity of the negative are recorded as its difficulty.

    Source: arXiv 2312.02206, axiom 1.

    >>> ask = lambda i, q, a: Thread(f"demo/{i}", "demo", q, (Answer(a),))
    >>> threads = [ask(0, "How to store coffee?", "In a dark tin."),
    ...            ask(1, "Which coffee is best?", "I like Arabica most.")]
    >>> [(pair.chosen, pair.rejected) for pair in build(threads, Random(0))]
    [('In a dark tin.', 'I like Arabica most.'), ('I like Arabica most.', 'In a dark tin.')]
    """
    config = config or RelevanceConfig()
    for thread, found in zip(threads, neighbours(threads, config.depth, config.same), strict=True):
        if not _long_enough(thread, config):
            continue
        usable = [h for h in found if h.similarity < config.nearest and _long_enough(threads[h.index], config)]
        for hit in rng.sample(usable, min(config.pairs_per_thread, len(usable))):
            other = threads[hit.index]
            chosen, rejected = best_answer(thread), best_answer(other)
            if chosen.text == rejected.text:
                continue
            yield PreferencePair(
                question=thread.question,
                chosen=chosen.text,
                rejected=rejected.text,
                axiom="relevance",
                principle=PRINCIPLE,
                source=thread.source,
                thread_id=thread.id,
                provenance={"rank": hit.rank, "similarity": round(hit.similarity, 3), "negative_of": other.id},
            )


def _long_enough(thread: Thread, config: RelevanceConfig) -> bool:
    return bool(thread.answers) and len(best_answer(thread).text.split()) >= config.least_words


def best_answer(thread: Thread) -> Answer:
    """Return the accepted answer of a thread, else the one with the most votes, else the first."""
    return max(thread.answers, key=lambda a: (bool(a.accepted), a.votes or 0))
