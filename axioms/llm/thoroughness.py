"""Axiom 5 with a language model: an answer written from two answers is better than one written from either alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from axioms.llm.cache import Sampling
from axioms.llm.client import LLM
from axioms.llm.writing import Bounds, Skipped, Writer, cut, facts_of, listed, supported, written
from axioms.text import content_words, overlap
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "thoroughness"

_NO_PROSE = re.compile(r"```|https?://|^>", re.M)
"""Code, links and quotations, which an outline breaks."""

RECIPES = ("both_over_first", "both_over_second")


@dataclass(frozen=True, slots=True)
class ThoroughnessConfig:
    """How the two answers are written.

    Args:
        least_words: of each of the two answers.
        answer_words: of each, in the prompt.
        facts: at most so many of each answer.
        alike: two answers that share so many of their content words say the same, and are left out.
        gain: the combination has a share of the content words of both answers that is larger by so much.
        added: content words that it takes from the other answer alone.
        faithful: share of the words of each side that are of its outline, at least.
        bounds: lengths of the two sides; the combination is the longer one, at most 2.5 times as long.
        sampling: how they are drawn.
    """

    least_words: int = 12
    answer_words: int = 60
    facts: int = 3
    alike: float = 0.6
    gain: float = 0.05
    added: int = 3
    faithful: float = 0.6
    bounds: Bounds = field(default_factory=lambda: Bounds(slack=0.6, sentences=6))
    sampling: Sampling = field(default_factory=Sampling)


def build(
    threads: Sequence[Thread], rng: Random, llm: LLM, config: ThoroughnessConfig | None = None
) -> Iterator[PreferencePair]:
    """Yield pairs of an answer written from the two best answers of a thread and one written from one of them.

    The sentences of each answer give an outline, and all sides are written from outlines with one prompt, so that style
    tells nothing.
    The combination is the longer side more often than not, so weigh these pairs in a mix.

    Source: arXiv 2312.02206, axiom 5.
    """
    config = config or ThoroughnessConfig()
    jobs = ((thread, *two, alone) for thread in threads if (two := _best_two(thread, config)) for alone in (0, 1))
    return written(llm, "llm_thoroughness", jobs, partial(_pair, config=config))


def _best_two(thread: Thread, config: ThoroughnessConfig) -> tuple[str, str] | None:
    """Return the two best answers, cut to their length in the prompt, or None if there are no two to combine."""
    ranked = sorted(thread.answers, key=lambda a: (not a.accepted, -(a.votes or 0)))
    texts = [a.text for a in ranked if not _NO_PROSE.search(a.text) and len(a.text.split()) >= config.least_words]
    if len(texts) < 2:
        return None
    first, second = (" ".join(cut(text, config.answer_words).split()) for text in texts[:2])
    return None if overlap(content_words(first), content_words(second)) >= config.alike else (first, second)


def _pair(writer: Writer, job: tuple[Thread, str, str, int], config: ThoroughnessConfig) -> PreferencePair:
    thread, first, second, alone = job
    facts = [facts_of(answer, config.facts) for answer in (first, second)]
    if not all(facts):
        raise Skipped("too few facts")
    together = listed([*facts[0], *(fact for fact in facts[1] if fact not in facts[0])])
    chosen = writer.side("from_outline", config.sampling, config.bounds, outline=together)
    single = listed(facts[alone])
    rejected = writer.side("from_outline", config.sampling, config.bounds, outline=single)
    support = [supported(text, told, thread.question) for text, told in ((chosen, together), (rejected, single))]
    if min(support) < config.faithful:
        raise Skipped("not from the outline")
    one, other = content_words((first, second)[alone]), content_words((second, first)[alone])
    both = one | other
    covered = [round(len(content_words(text) & both) / max(1, len(both)), 3) for text in (chosen, rejected)]
    added = (content_words(chosen) & other) - one - content_words(rejected)
    if covered[0] - covered[1] < config.gain or len(added) < config.added:
        raise Skipped("not more thorough")
    facts_told = {"covered": covered, "support": support}
    return writer.pair(thread, PRINCIPLE, chosen, rejected, config.bounds, RECIPES[alone], **facts_told)
