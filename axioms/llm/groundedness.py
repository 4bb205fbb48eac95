"""Axiom 2 with a language model: an answer written with evidence is better than the same model's without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from axioms.llm.cache import Sampling
from axioms.llm.client import LLM
from axioms.llm.writing import Bounds, Skipped, Writer, cut, evidence, supported, written
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "groundedness"


@dataclass(frozen=True, slots=True)
class GroundednessConfig:
    """How the two answers are written.

    Args:
        evidence_words: of the passages, in the prompt.
        question_words: of the question, in the prompt.
        gain: the open-book answer takes a share of its words from the evidence that is larger by so much.
        least: share of the words of the open-book answer that are of the evidence; one with less makes things up.
        bounds: lengths of the two sides.
        sampling: how they are drawn.
    """

    evidence_words: int = 150
    question_words: int = 80
    gain: float = 0.2
    least: float = 0.7
    bounds: Bounds = field(default_factory=Bounds)
    sampling: Sampling = field(default_factory=Sampling)


def build(
    threads: Sequence[Thread], rng: Random, llm: LLM, config: GroundednessConfig | None = None
) -> Iterator[PreferencePair]:
    """Yield pairs of an open-book and a closed-book answer of one language model to one question.

    Source: arXiv 2312.02206, axiom 2.
    """
    config = config or GroundednessConfig()
    jobs = (thread for thread in threads if thread.passages)
    return written(llm, "llm_groundedness", jobs, partial(_pair, config=config))


def _pair(writer: Writer, thread: Thread, config: GroundednessConfig) -> PreferencePair:
    facts = evidence(thread.question, thread.passages, config.evidence_words)
    question = cut(thread.question, config.question_words)
    if not facts or not question:
        raise Skipped("no evidence")
    chosen = writer.side("open_book", config.sampling, config.bounds, question=question, evidence=facts)
    rejected = writer.side("closed_book", config.sampling, config.bounds, question=question)
    support = [supported(text, facts, thread.question) for text in (chosen, rejected)]
    if support[0] < config.least:
        raise Skipped("not grounded")
    if support[0] - support[1] < config.gain:
        raise Skipped("not grounded better")
    return writer.pair(thread, PRINCIPLE, chosen, rejected, config.bounds, "open_over_closed_book", support=support)
