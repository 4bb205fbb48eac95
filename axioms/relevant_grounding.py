"""Axiom 4, grounding in what is relevant: what is drawn from evidence for the question beats what is from other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from axioms.neighbours import Neighbour, couples, neighbours, strangers
from axioms.relevance import best_answer, says_its_topic
from axioms.text import content_words, holds, matched_lengths, overlap, passage_sentences, sentences
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "groundedness"


@dataclass(frozen=True, slots=True)
class RelevantGroundingConfig:
    """How long the extracts are, and how near P- is.

    Args:
        sentences: of each extract.
        depth: P- comes from one of the so many most similar threads of the source.
        uses: a thread is put together with others until it has so many.
        extractive: share of an answer's content words that stand in its passages from which it counts as an extract.
        slack: the lengths of two sides differ at most by this share.
    """

    sentences: int = 3
    depth: int = 4
    uses: int = 1
    extractive: float = 0.85
    slack: float = 0.4


def build(
    threads: Sequence[Thread], rng: Random, config: RelevantGroundingConfig | None = None
) -> Iterator[PreferencePair]:
    """Yield pairs of what is drawn from the thread's own passages P+ and from a similar thread's passages P-.

    Recipes: "extract", both sides are the sentences closest to the question, in their order in the text; "answer", an
    answer that is drawn from P+ and an extract of P- as long as it. Two threads give two pairs of a recipe, in which
    their texts change sides. Threads with a passage in common are not put together, and nothing that stands in both
    threads' passages is exchanged.

    Source: arXiv 2312.02206, axiom 4, without a language model.

    Raises:
        MissingExtraError: bm25s is not installed.

    >>> ask = lambda i, q, p: Thread(f"demo/{i}", "demo", q, (), (p,))
    >>> threads = [ask(0, "Who brews beer?", "Monks in Belgium brew it."),
    ...            ask(1, "Who drinks beer?", "Czechs drink most of it.")]
    >>> pair = min(build(threads, Random(0)), key=lambda pair: pair.thread_id)
    >>> pair.chosen, pair.rejected
    ('Monks in Belgium brew it.', 'Czechs drink most of it.')
    """
    config = config or RelevantGroundingConfig()
    usable = [t for t in threads if t.passages and says_its_topic(t.question)]
    pools = [passage_sentences(t.passages) for t in usable]
    found = strangers(usable, neighbours(usable, config.depth))
    for a, b, hit in couples(found, rng, config.uses):
        one, two = usable[a], usable[b]
        # What both have is evidence for both.
        own, other = ([s for s in pools[i] if not holds(t.passages, s)] for i, t in ((a, two), (b, one)))
        count = min(config.sentences, len(own), len(other))
        if count:
            sides = [[" ".join(extract(t.question, pool, count)) for pool in (own, other)] for t in (one, two)]
            if all(matched_lengths(one_side, other_side, config.slack) for one_side, other_side in sides):
                yield _pair(one, sides[0][0], sides[0][1], "extract", hit)
                yield _pair(two, sides[1][1], sides[1][0], "extract", hit)
        for here, there, strange in ((one, two, other), (two, one, own)):
            answer = _extractive_answer(here, config)
            if answer is None or any(holds(there.passages, sentence) for sentence in sentences(answer)):
                continue
            wrong, right = (_as_long(t.question, strange, answer) for t in (here, there))
            if all(matched_lengths(answer, text, config.slack) for text in (wrong, right)):
                yield _pair(here, answer, wrong, "answer", hit)
                yield _pair(there, right, answer, "answer", hit)


def extract(question: str, pool: Sequence[str], count: int) -> list[str]:
    """Return the `count` sentences that share the most words with the question, in their own order.

    >>> extract("Who brews beer?", ["Wine is red.", "Monks brew beer in Belgium.", "Tea is hot."], 1)
    ['Monks brew beer in Belgium.']
    """
    return [pool[i] for i in sorted(_closest(question, pool)[:count])]


def _closest(question: str, pool: Sequence[str]) -> list[int]:
    """Return the indices of sentences, those first that share the most words with the question."""
    asked = content_words(question)
    shares = [overlap(asked, content_words(sentence)) for sentence in pool]
    return sorted(range(len(pool)), key=lambda i: (-shares[i], i))


def _as_long(question: str, pool: Sequence[str], like: str) -> str:
    """Return the extract whose length in characters comes closest to that of `like`."""
    closest = _closest(question, pool)
    extracts = [" ".join(pool[i] for i in sorted(closest[:count])) for count in range(1, len(pool) + 1)]
    return min(extracts, key=lambda text: abs(len(text) - len(like)), default="")


def _extractive_answer(thread: Thread, config: RelevantGroundingConfig) -> str | None:
    """Return the best answer if it is drawn from the passages and is whole sentences."""
    answer = best_answer(thread).text.strip() if thread.answers else ""
    said, known = content_words(answer), content_words(" ".join(thread.passages))
    drawn = len(said & known) >= config.extractive * len(said)
    return answer if said and drawn and answer[-1] in ".!?" and "\n" not in answer else None


def _pair(thread: Thread, chosen: str, rejected: str, recipe: str, hit: Neighbour) -> PreferencePair:
    return PreferencePair(
        question=thread.question,
        chosen=chosen,
        rejected=rejected,
        axiom="relevant_grounding",
        principle=PRINCIPLE,
        source=thread.source,
        thread_id=thread.id,
        provenance={"recipe": recipe, "rank": hit.rank, "similarity": round(hit.similarity, 3)},
    )
