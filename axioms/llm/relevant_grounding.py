"""Axiom 4 with a language model: an answer written with relevant evidence beats one of the same model with other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from axioms.llm.cache import Sampling
from axioms.llm.client import LLM
from axioms.llm.writing import Bounds, Skipped, Writer, cut, evidence, supported, written
from axioms.neighbours import Neighbour, neighbours
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "groundedness"


@dataclass(frozen=True, slots=True)
class RelevantGroundingConfig:
    """How the two answers are written.

    Args:
        depth: P- is drawn from the passages of so many most similar threads.
        evidence_words: of the passages, in the prompt.
        question_words: of the question, in the prompt.
        gain: the better answer takes a share of its words from P+ that is larger by so much.
        least: share of the words of the better answer that are of P+; one with less makes things up.
        bounds: lengths of the two sides.
        sampling: how they are drawn.
    """

    depth: int = 8
    evidence_words: int = 150
    question_words: int = 80
    gain: float = 0.2
    least: float = 0.7
    bounds: Bounds = field(default_factory=Bounds)
    sampling: Sampling = field(default_factory=Sampling)


def build(
    threads: Sequence[Thread], rng: Random, llm: LLM, config: RelevantGroundingConfig | None = None
) -> Iterator[PreferencePair]:
    """Yield pairs of answers written with P+ and with P-, the evidence for a similar but different question.

    The prompt is that of groundedness, so its open-book answers come from the cache.

    Source: arXiv 2312.02206, axiom 4.
    """
    config = config or RelevantGroundingConfig()
    usable = [thread for thread in threads if thread.passages]
    found = zip(usable, neighbours(usable, config.depth), strict=True)
    drawn = ((thread, rng.choice(hits)) for thread, hits in found if hits)
    jobs = ((thread, usable[hit.index], hit) for thread, hit in drawn)
    return written(llm, "llm_relevant_grounding", jobs, partial(_pair, config=config))


def _pair(writer: Writer, job: tuple[Thread, Thread, Neighbour], config: RelevantGroundingConfig) -> PreferencePair:
    thread, other, hit = job
    relevant = evidence(thread.question, thread.passages, config.evidence_words)
    irrelevant = evidence(thread.question, other.passages, config.evidence_words)
    question = cut(thread.question, config.question_words)
    if not relevant or not irrelevant or not question:
        raise Skipped("no evidence")
    if relevant == irrelevant:
        raise Skipped("the same evidence")
    chosen = writer.side("open_book", config.sampling, config.bounds, question=question, evidence=relevant)
    rejected = writer.side("open_book", config.sampling, config.bounds, question=question, evidence=irrelevant)
    support = [supported(text, relevant, thread.question) for text in (chosen, rejected)]
    if support[0] < config.least:
        raise Skipped("not grounded")
    if support[0] - support[1] < config.gain:
        raise Skipped("not grounded better")
    facts = {"support": support, "negative_of": other.id, "rank": hit.rank, "similarity": round(hit.similarity, 3)}
    return writer.pair(thread, PRINCIPLE, chosen, rejected, config.bounds, "relevant_over_irrelevant", **facts)
