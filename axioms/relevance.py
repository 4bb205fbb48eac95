"""Axiom 1, relevance: an answer to this question is better than an answer to a similar but different one."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import chain
from random import Random
from typing import Any

from axioms.dense import dense_neighbours, encoder_named
from axioms.neighbours import Neighbour, by_source, couples, neighbours, shared
from axioms.text import content_words
from prefmodel.types import Answer, PreferencePair, Thread

PRINCIPLE = "relevance"


# What a question says of its task and of a text that it comes with; alone, it does not say what it is about.
_TASK = frozenset(
    """
    above article based below brief briefly bullet bulleted bullets characters comma description different entry excerpt
    extract find following format form given give go identify individual information key list lists listed main mention
    mentioned name names number numbers order out paragraph paragraphs passage people person places please point points
    provide provided read reference results sentence sentences separate separated short snippet summarise summarize
    summary take tell text three two using wikipedia words write
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class RelevanceConfig:
    """Which threads are put together.

    Args:
        depth: a negative is drawn from so many most similar threads, of BM25 and of the encoder each.
        same: share of content words from which two questions count as the same; see `neighbours`.
        nearest: a negative's BM25 similarity is below this; the answer to a nearer question may well answer both.
        encoder: folder or Hub name of a sentence encoder, which finds negatives beside BM25; see `SentenceEncoder`.
        alike: cosine from which two questions count as the same.
        least_words: of both answers; from "Drums" or "2000" nobody can tell which question it answers.
        alike_answers: share of the rarity of content words from which two answers may well answer the same.
        uses: a thread is put together with others until it has so many similar ones.
        topic: share of the questions of a source in which the topic of the recipe "ask" stands at most, or two of them.
        rest: share of content words beside the topic that two questions of the recipe "ask" have in common at most.
        generic: share of the answers of a source, those with the most common words, that count as generic.
    """

    depth: int = 10
    same: float = 0.6
    nearest: float = 0.5
    encoder: str | None = None
    alike: float = 0.8
    least_words: int = 4
    alike_answers: float = 0.5
    uses: int = 1
    topic: float = 0.02
    rest: float = 0.1
    generic: float = 0.05


Couple = tuple[int, int, dict[str, Any]]
"""Two threads, and what is recorded of them."""


def build(threads: Sequence[Thread], rng: Random, config: RelevanceConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of an answer of the thread and an answer of another thread; recipe and difficulty are recorded.

    Recipes: "similar", the question is among the most similar ones of the source (BM25, and a sentence encoder if the
    configuration names one); "ask", it has the same rarest word, its topic, and little else in common; "generic", it
    is similar, and one of the two answers says little that is specific. Two threads always give two pairs, in which
    their answers change sides, so that only the question tells which is better.

    Source: arXiv 2312.02206, axiom 1.

    Raises:
        MissingExtraError: bm25s is not installed, or usearch where there is an encoder.
        InputError, BundleError: the encoder is not to be had.

    >>> ask = lambda i, q, a: Thread(f"demo/{i}", "demo", q, (Answer(a),))
    >>> threads = [ask(0, "How to store coffee?", "In a dark tin."),
    ...            ask(1, "Which coffee is best?", "I like Arabica most.")]
    >>> sorted((pair.chosen, pair.rejected) for pair in build(threads, Random(0)))
    [('I like Arabica most.', 'In a dark tin.'), ('In a dark tin.', 'I like Arabica most.')]
    """
    config = config or RelevanceConfig()
    usable = [
        thread
        for thread in threads
        if thread.answers
        and len(best_answer(thread).text.split()) >= config.least_words
        and says_its_topic(thread.question)
    ]
    answers = [content_words(best_answer(t).text) for t in usable]
    rare = rarity(answers)
    whole = [_rarity_of(words, rare) for words in answers]
    mined, copies = _mined(usable, config)

    def fits(one: int, other: int) -> bool:
        """Tell whether the answers to two questions tell them apart."""
        if other in copies[one] or one in copies[other]:
            return False
        # Of the answer that has less rarity, the share that both have.
        least = min(whole[one], whole[other])
        common = _rarity_of(answers[one] & answers[other], rare) / least if least else answers[one] == answers[other]
        return common < config.alike_answers

    found = [[hit for hit in hits if fits(own, hit.index)] for own, hits in enumerate(mined)]
    recipes: dict[str, Iterator[Couple]] = {
        "ask": (couple for couple in _same_topic(usable, answers, rng, config) if fits(*couple[:2])),
        "generic": _with_a_generic(usable, answers, found, rng, config),
        "similar": ((one, other, _difficulty(hit)) for one, other, hit in couples(found, rng, config.uses)),
    }
    seen: set[frozenset[int]] = set()
    for recipe, some in recipes.items():
        for one, other, difficulty in some:
            if frozenset((one, other)) in seen:
                continue
            seen.add(frozenset((one, other)))
            provenance = {"recipe": recipe, **difficulty}
            yield _pair(usable[one], usable[other], provenance)
            yield _pair(usable[other], usable[one], provenance)


def _pair(thread: Thread, negative: Thread, provenance: dict[str, Any]) -> PreferencePair:
    return PreferencePair(
        question=thread.question,
        chosen=best_answer(thread).text,
        rejected=best_answer(negative).text,
        axiom="relevance",
        principle=PRINCIPLE,
        source=thread.source,
        thread_id=thread.id,
        provenance={**provenance, "negative_of": negative.id},
    )


def best_answer(thread: Thread) -> Answer:
    """Return the accepted answer of a thread, else the one with the most votes, else the first."""
    return max(thread.answers, key=lambda a: (bool(a.accepted), a.votes or 0))


def says_its_topic(question: str) -> bool:
    """Tell whether a question says more than what to do with a text that only its asker has.

    >>> says_its_topic("Who brews beer?"), says_its_topic("Summarize the following passage in three sentences.")
    (True, False)
    """
    return bool(content_words(question) - _TASK)


def rarity(texts: Sequence[AbstractSet[str]]) -> dict[str, float]:
    """Return for each word the natural logarithm of (texts / texts with the word).

    >>> {word: round(value, 1) for word, value in sorted(rarity([{"tea", "hot"}, {"tea"}]).items())}
    {'hot': 0.7, 'tea': 0.0}
    """
    counts = Counter(chain.from_iterable(texts))
    return {word: math.log(len(texts) / n) for word, n in counts.items()}


def _mined(threads: Sequence[Thread], config: RelevanceConfig) -> tuple[list[list[Neighbour]], list[set[int]]]:
    """Return the hard negatives of each thread, each once, and its near-duplicates as far as an encoder finds them."""
    lexical = neighbours(threads, config.depth, config.same)
    found = [[hit for hit in hits if hit.similarity < config.nearest] for hits in lexical]
    if config.encoder is None:
        return found, [set() for _ in threads]
    encoder = encoder_named(config.encoder)
    dense = list(dense_neighbours(threads, encoder, config.depth, config.same, config.alike))
    for hits, (others, _) in zip(found, dense, strict=True):
        ranks = {hit.index: hit for hit in others}
        # What both find is the encoder's: it has the better measure of how similar two questions are.
        hits[:] = [*(hit for hit in hits if hit.index not in ranks), *others]
    return found, [copies for _, copies in dense]


def _difficulty(hit: Neighbour) -> dict[str, Any]:
    return {"found_by": hit.found_by, "rank": hit.rank, "similarity": round(hit.similarity, 3)}


def _same_topic(
    threads: Sequence[Thread], answers: Sequence[AbstractSet[str]], rng: Random, config: RelevanceConfig
) -> Iterator[Couple]:
    """Yield threads of which both questions (their first lines) and answers have the topic, and ask something else."""
    asked = [content_words(thread.question.partition("\n")[0]) for thread in threads]
    for members in by_source(threads):
        rare = rarity([asked[i] for i in members])
        most = math.log(len(members) / 2)  # a word of one question only is no topic that another could share
        least = min(most, -math.log(config.topic))
        topics: dict[str, list[int]] = defaultdict(list)
        for i in members:
            words = [word for word in asked[i] & answers[i] if least <= rare[word] <= most]
            if words:
                topics[max(words, key=lambda word: (rare[word], word))].append(i)
        for topic, group in topics.items():
            rng.shuffle(group)
            for one, other in zip(group[::2], group[1::2], strict=False):
                rest = shared(asked[one] - {topic}, asked[other] - {topic})
                if rest <= config.rest and asked[one] != {topic} != asked[other]:
                    yield one, other, {"topic": topic, "similarity": round(rest, 3)}


def _with_a_generic(
    threads: Sequence[Thread],
    answers: Sequence[AbstractSet[str]],
    found: Sequence[Sequence[Neighbour]],
    rng: Random,
    config: RelevanceConfig,
) -> Iterator[Couple]:
    """Yield each thread whose answer is generic with a similar one whose answer is not."""
    for members in by_source(threads):
        rare = rarity([answers[i] for i in members])
        ranked = sorted(members, key=lambda i: (_mean_rarity(answers[i], rare), i))
        generic = set(ranked[: int(config.generic * len(ranked))])
        for one in sorted(generic):
            hits = [hit for hit in found[one] if hit.index not in generic]
            if hits:
                hit = rng.choice(hits)
                yield one, hit.index, {**_difficulty(hit), "rarity": round(_mean_rarity(answers[one], rare), 2)}


def _mean_rarity(words: AbstractSet[str], rare: Mapping[str, float]) -> float:
    return _rarity_of(words, rare) / max(1, len(words))


def _rarity_of(words: AbstractSet[str], rare: Mapping[str, float]) -> float:
    # fsum: the order of a set differs from run to run, and with it what a plain sum rounds to.
    return math.fsum(map(rare.__getitem__, words))
