"""Axiom 4, grounding in what is relevant: an extract of evidence for the question beats one of other evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from axioms.neighbours import neighbours
from axioms.text import content_words, matched_lengths, overlap, passage_sentences
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "groundedness"


@dataclass(frozen=True, slots=True)
class RelevantGroundingConfig:
    """How long the extracts are.

    Args:
        sentences: of each extract.
        depth: P- comes from the so many most similar threads.
    """

    sentences: int = 3
    depth: int = 8


def build(
    threads: Sequence[Thread], rng: Random, config: RelevantGroundingConfig | None = None
) -> Iterator[PreferencePair]:
    """Yield pairs of an extract of the thread's own passages P+ and one of a similar thread's passages P-.

    Both extracts are written in the same way: the sentences closest to the question, in their order in the text.

    Source: arXiv 2312.02206, axiom 4, without a language model.

    >>> ask = lambda i, q, p: Thread(f"demo/{i}", "demo", q, (), (p,))
    >>> threads = [ask(0, "Who brews beer?", "Monks in Belgium brew it."),
    ...            ask(1, "Who drinks beer?", "Czechs drink most of it.")]
    >>> pair = next(build(threads, Random(0)))
    >>> pair.chosen, pair.rejected
    ('Monks in Belgium brew it.', 'Czechs drink most of it.')
    """
    config = config or RelevantGroundingConfig()
    with_evidence = [t for t in threads if t.passages]
    for thread, found in zip(with_evidence, neighbours(with_evidence, config.depth), strict=True):
        if not found:
            continue
        hit = rng.choice(found)
        own = passage_sentences(thread.passages)
        other = [s for s in passage_sentences(with_evidence[hit.index].passages) if s not in own]
        relevant = extract(thread.question, own, config.sentences)
        irrelevant = extract(thread.question, other, config.sentences)
        count = min(len(relevant), len(irrelevant))
        if count == 0 or not matched_lengths(" ".join(relevant[:count]), " ".join(irrelevant[:count]), slack=0.5):
            continue
        yield PreferencePair(
            question=thread.question,
            chosen=" ".join(relevant[:count]),
            rejected=" ".join(irrelevant[:count]),
            axiom="relevant_grounding",
            principle=PRINCIPLE,
            source=thread.source,
            thread_id=thread.id,
            provenance={"rank": hit.rank, "similarity": round(hit.similarity, 3), "sentences": count},
        )


def extract(question: str, pool: Sequence[str], count: int) -> list[str]:
    """Return the `count` sentences that share the most words with the question, in their own order.

    >>> extract("Who brews beer?", ["Wine is red.", "Monks brew beer in Belgium.", "Tea is hot."], 1)
    ['Monks brew beer in Belgium.']
    """
    asked = content_words(question)
    best = sorted(range(len(pool)), key=lambda i: (-overlap(asked, content_words(pool[i])), i))[:count]
    return [pool[i] for i in sorted(best)]
