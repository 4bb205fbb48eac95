"""Axiom 2, groundedness: an answer that its evidence supports is better than one with unsupported sentences in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from axioms.neighbours import neighbours
from axioms.relevance import best_answer
from axioms.text import content_words, overlap, passage_sentences, sentences, similar_length, weave
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "groundedness"


@dataclass(frozen=True, slots=True)
class GroundednessConfig:
    """How many sentences are woven in.

    Args:
        woven: at most so many unsupported sentences in one answer.
        depth: the sentences come from the passages of so many most similar threads.
        balanced: share of pairs in which the chosen side too gets sentences woven in, from its own passages and of
            the same length, so that neither length nor a seam tells the two apart; less where these say no more.
    """

    woven: int = 2
    depth: int = 8
    balanced: float = 1.0


def build(threads: Sequence[Thread], rng: Random, config: GroundednessConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of a supported answer and the same answer with sentences from another thread's passages woven in.

    Source: arXiv 2312.02206, axiom 2, without a language model.

    >>> from prefmodel.types import Answer
    >>> ask = lambda i, q, a, p: Thread(f"demo/{i}", "demo", q, (Answer(a),), (p,))
    >>> threads = [ask(0, "Who brews beer?", "Monks do.", "Monks in Belgium brew it."),
    ...            ask(1, "Who drinks beer?", "Czechs do.", "Czechs drink most of it.")]
    >>> pair = next(build(threads, Random(0), GroundednessConfig(balanced=0)))
    >>> pair.chosen, pair.rejected
    ('Monks do.', 'Monks do. Czechs drink most of it.')
    """
    config = config or GroundednessConfig()
    with_evidence = [t for t in threads if t.passages and t.answers]
    for thread, found in zip(with_evidence, neighbours(with_evidence, config.depth), strict=True):
        evidence = passage_sentences(thread.passages)
        others = [s for hit in found for s in passage_sentences(with_evidence[hit.index].passages)]
        foreign = [s for s in others if s not in evidence]
        parts = sentences(best_answer(thread).text)
        own = _not_said_yet(evidence, parts)
        count = min(rng.randint(1, config.woven), len(parts), len(foreign))
        if count == 0:
            continue
        balanced = rng.random() < config.balanced and len(own) >= count
        strange: list[str] = []
        said: list[str] = rng.sample(own, count) if balanced else []
        for like in said or rng.sample(foreign, count):
            match = similar_length([s for s in foreign if s not in strange], like, rng)
            if match is not None:
                strange.append(match)
        if len(strange) < count:
            continue
        places = [rng.randint(1, len(parts)) for _ in range(count)]
        yield PreferencePair(
            question=thread.question,
            chosen=weave(parts, said, places) if balanced else weave(parts, [""] * count, places),
            rejected=weave(parts, strange, places),
            axiom="groundedness",
            principle=PRINCIPLE,
            source=thread.source,
            thread_id=thread.id,
            provenance={"recipe": "balanced" if balanced else "woven", "woven": count},
        )


def _not_said_yet(pool: list[str], parts: list[str]) -> list[str]:
    """Leave out sentences that the answer repeats, in whole or nearly."""
    said = [content_words(part) for part in parts]
    return [s for s in pool if all(overlap(content_words(s), known) < 0.6 for known in said)]
