"""Axiom 3 with a language model: an answer written from its true outline beats one from the outline made false."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from axioms.llm.cache import Sampling
from axioms.llm.client import LLM
from axioms.llm.writing import Bounds, Skipped, Writer, cut, facts_of, listed, supported, written
from axioms.relevance import best_answer
from axioms.text import content_words, overlap
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "truthfulness"

_NEGATION = re.compile(r"\b(?:not|no|never|none|nothing|without|cannot)\b|n['’]t\b", re.I)


@dataclass(frozen=True, slots=True)
class TruthfulnessConfig:
    """How the two answers are written.

    Args:
        least_words: of an answer that is worth an outline, its sentences.
        answer_words: of the answer, in the prompt.
        facts: at most so many in the outline; at least two.
        lies: facts that are made false, drawn at random; all if there are no more.
        alike: share of content words that a fact and its false form have in common, so that it is still about the same.
        changed: content words of a false fact that are new; at least one, at most so many.
        faithful: share of the words of each side that are of its outline, at least.
        bounds: lengths of the two sides.
        sampling: how they and the outline are drawn.
        inventing: how a false fact is drawn; hotter, for small models like to repeat the true one.
    """

    least_words: int = 20
    answer_words: int = 120
    facts: int = 5
    lies: int = 2
    alike: float = 0.5
    changed: int = 4
    faithful: float = 0.6
    bounds: Bounds = field(default_factory=Bounds)
    sampling: Sampling = field(default_factory=Sampling)
    inventing: Sampling = field(default_factory=lambda: Sampling(temperature=1.0, max_tokens=60))


def build(
    threads: Sequence[Thread], rng: Random, llm: LLM, config: TruthfulnessConfig | None = None
) -> Iterator[PreferencePair]:
    """Yield pairs of two answers that the language model writes from an outline, a true and a false one.

    The outline has sentences of the thread's best answer; the model makes some false. As both sides are written in the
    same way, style tells nothing.

    Source: arXiv 2312.02206, axiom 3.
    """
    config = config or TruthfulnessConfig()
    answered = (thread for thread in threads if thread.answers)
    worth = (thread for thread in answered if len(best_answer(thread).text.split()) >= config.least_words)
    jobs = ((thread, Random(rng.getrandbits(32))) for thread in worth)
    return written(llm, "llm_truthfulness", jobs, partial(_pair, config=config))


def _pair(writer: Writer, job: tuple[Thread, Random], config: TruthfulnessConfig) -> PreferencePair:
    thread, rng = job
    answer = cut(best_answer(thread).text, config.answer_words)
    if "```" in answer:
        raise Skipped("code")
    true = facts_of(answer, config.facts)
    if len(true) < 2:
        raise Skipped("too few facts")
    known = content_words(f"{thread.question} {answer} {listed(true)}")
    false = _made_false(writer, true, known, rng, config)
    wrong = content_words(" ".join(false)) - known
    chosen = writer.side("from_outline", config.sampling, config.bounds, outline=listed(true))
    rejected = writer.side("from_outline", config.sampling, config.bounds, outline=listed(false))
    support = [supported(text, listed(facts), thread.question) for text, facts in ((chosen, true), (rejected, false))]
    if min(support) < config.faithful:
        raise Skipped("not from the outline")
    lies = sorted(content_words(rejected) & wrong - content_words(chosen))
    if not lies:
        raise Skipped("not made wrong")
    facts = {"facts": len(true), "lies": lies, "support": support}
    return writer.pair(thread, PRINCIPLE, chosen, rejected, config.bounds, "false_outline", **facts)


def _made_false(
    writer: Writer, facts: Sequence[str], known: frozenset[str], rng: Random, config: TruthfulnessConfig
) -> list[str]:
    """Return the facts with some of them made false: a few words are replaced, and what it is about stays.

    What only adds words may be true as well, and a "not" would tell the false side by itself.
    """
    false = list(facts)
    left = config.lies
    for place in rng.sample(range(len(facts)), len(facts)):
        if left == 0:
            break
        told = " ".join(writer.write("false_fact", config.inventing, fact=facts[place]).split())
        new, old = content_words(told), content_words(facts[place])
        replaced = old - new and new - known and len(new - old) <= config.changed
        if replaced and overlap(new, old) >= config.alike and _negations(told) == _negations(facts[place]):
            false[place] = told
            left -= 1
    if false == list(facts):
        raise Skipped("nothing made false")
    return false


def _negations(text: str) -> int:
    return len(_NEGATION.findall(text))
