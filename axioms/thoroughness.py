"""Axiom 5, thoroughness: an answer that says more of what matters is better than one that says other things as long."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations, zip_longest
from random import Random

from axioms.chunks import chunks, joined
from axioms.neighbours import Neighbour, closest, neighbours
from axioms.relevance import best_answer, rarity, says_its_topic
from axioms.text import asks_for_fiction, content_words, matched_lengths, overlap
from prefmodel.splits import question_text, words
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "thoroughness"

_TELLS = re.compile(r"\W*update|(?=[^?]*$).*\b(?:i|i['’]m|i['’]ve|my|me|we)\b", re.IGNORECASE | re.DOTALL)
"""The title of a sequel or of a story without a question mark: it asks nothing, so nothing is off the point."""


@dataclass(frozen=True, slots=True)
class ThoroughnessConfig:
    """Which answers are continued, and by what.

    Args:
        least: characters of a beginning and of an end, at least.
        most: characters of a beginning, at most.
        share: characters of an end, as shares of those of the beginning, at least and at most: the loss is felt.
        novel: words that an end shares with the beginning, at most this share.
        topical: words of the topic in an end, at least.
        gap: the other thread's end says less of the topic, by at least this share of what the own one says.
        slack: lengths of the two ends differ by at most this share.
        ways: at most so many ways to take an answer apart are looked at, those whose ends say the most.
        answers: at most so many of a thread are taken apart.
        depth: the other thread is one of so many most similar ones of the source.
        nearest: and its question is less similar than this; in the end of an answer to a nearer one more may matter.
        same: share of content words from which two questions count as the same; see `neighbours`.
        uses: an answer is put together with others until it has so many.
    """

    least: int = 100
    most: int = 1500
    share: tuple[float, float] = (0.4, 1.2)
    novel: float = 0.5
    topical: int = 5
    gap: float = 0.85
    slack: float = 0.1
    ways: int = 6
    answers: int = 2
    depth: int = 50
    nearest: float = 0.3
    same: float = 0.4
    uses: int = 1


@dataclass(frozen=True, slots=True)
class _Way:
    """How an answer begins and how it goes on, with the content words of the latter."""

    beginning: str
    end: str
    words: AbstractSet[str]


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer that may be taken apart.

    Args:
        thread: whose question it answers.
        recipe: "merged" or "cut".
        ways: where it may be, the best first.
        asked: words of the question.
        topic: other words that bear on it, and the weight of each.
    """

    thread: Thread
    recipe: str
    ways: Sequence[_Way]
    asked: AbstractSet[str]
    topic: Mapping[str, float]


def build(threads: Sequence[Thread], rng: Random, config: ThoroughnessConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of answers with one beginning, of which one goes on to the point and the other goes off it.

    Recipes: "merged", the chosen side is an answer and new points of a second one; "cut", an answer of which the
    rejected side has the beginning. The rejected side is brought to the same length by the end of an answer to a
    similar question. Two threads always exchange their ends: every text, and every length, is as often on the chosen
    side as on the rejected one, so that neither words nor length tell which is better, but only what was asked. Nor
    does it help to count the words of the question: the end that is off the point has as many.

    Source: arXiv 2312.02206, axiom 5, without a language model.

    Raises:
        MissingExtraError: bm25s is not installed.

    >>> from prefmodel.types import Answer
    >>> ask = lambda i, q, a: Thread(f"demo/{i}", "demo", q, (Answer(a),))
    >>> threads = [ask(0, "Where does coffee keep best?", "Coffee likes the dark. A dark tin will do."),
    ...            ask(1, "Where does tea grow best?", "Tea likes the rain. Most rain hits hills.")]
    >>> config = ThoroughnessConfig(least=9, topical=1, nearest=1.0)
    >>> pairs = sorted(build(threads, Random(0), config), key=lambda pair: pair.thread_id)
    >>> pairs[0].chosen, pairs[0].rejected
    ('Coffee likes the dark.\\n\\nA dark tin will do.', 'Coffee likes the dark.\\n\\nMost rain hits hills.')
    """
    config = config or ThoroughnessConfig()
    rare = rarity([content_words(answer.text) for thread in threads for answer in thread.answers])
    answers = [answer for thread in threads for answer in _answers(thread, rare, config)]
    near = neighbours([answer.thread for answer in answers], config.depth, config.same)
    found = [
        [hit for hit in hits if hit.similarity < config.nearest and _ways(one, answers[hit.index], config)]
        for one, hits in zip(answers, near, strict=True)
    ]
    for i, j, hit in closest(found, config.uses):
        if ways := _ways(answers[i], answers[j], config):
            yield _pair(answers[i], *ways, hit)
            yield _pair(answers[j], ways[1], ways[0], hit)


def _answers(thread: Thread, rare: Mapping[str, float], config: ThoroughnessConfig) -> Iterator[_Answer]:
    """Yield the best answers of a thread, each continued by the next one or, where that cannot be, by its own end."""
    question = question_text(thread.question)
    if not thread.answers or asks_for_fiction(question) or not says_its_topic(question) or _TELLS.match(question):
        return
    best = best_answer(thread)
    ordered = [best, *sorted((a for a in thread.answers if a is not best), key=lambda a: -(a.votes or 0))]
    texts = [answer.text.strip() for answer in ordered[: 2 * config.answers]]
    asked = content_words(question)
    topic = _topic(thread, asked, rare)
    for first, second in zip_longest(texts[::2], texts[1::2]):
        for recipe, ways in (("merged", _merged(first, second)), ("cut", _cut(first))):
            usable = [way for way in ways if _felt(way, topic, config)]
            if usable:
                usable.sort(key=lambda way: -_said(way, topic))
                yield _Answer(thread, recipe, usable[: config.ways], asked, topic)
                break


def _merged(first: str, second: str | None) -> Iterator[_Way]:
    """Yield an answer, whole, and each run of chunks of a second one."""
    parts = chunks(second or "")
    for start, stop in combinations(range(len(parts) + 1), 2):
        if parts[start].opens:
            yield _way(first, joined(parts[start:stop]))


def _cut(answer: str) -> Iterator[_Way]:
    """Yield each beginning of an answer and the rest."""
    parts = chunks(answer)
    for start in range(1, len(parts)):
        yield _way(joined(parts[:start]), joined(parts[start:]))


def _way(beginning: str, end: str) -> _Way:
    return _Way(beginning, end, content_words(end))


def _felt(way: _Way, topic: Mapping[str, float], config: ThoroughnessConfig) -> bool:
    """Tell whether the answer would say clearly less without its end."""
    least, most = (max(config.least, share * len(way.beginning)) for share in config.share)
    return (
        config.least <= len(way.beginning) <= config.most
        and least <= len(way.end) <= most
        and overlap(way.words, content_words(way.beginning)) <= config.novel
        and len(way.words & topic.keys()) >= config.topical
        and _said(way, topic) > 0
    )


def _topic(thread: Thread, asked: AbstractSet[str], rare: Mapping[str, float]) -> dict[str, float]:
    """Return the rarity of each word that is not asked but said again and again, or in a passage."""
    said = Counter(word for answer in thread.answers for word in words(answer.text))
    known = {word for word, count in said.items() if count > 1}.union(*map(content_words, thread.passages))
    return {word: rare[word] for word in known - asked if word in rare}


def _said(way: _Way, topic: Mapping[str, float]) -> float:
    """Return how much the end of an answer, of this thread or another, says of a topic."""
    # fsum: the order of a set differs from run to run, and with it what a plain sum rounds to.
    return math.fsum(topic[word] for word in way.words if word in topic)


def _ways(one: _Answer, other: _Answer, config: ThoroughnessConfig) -> tuple[_Way, _Way] | None:
    """Return the first ways of two answers whose ends can be exchanged."""
    for way in one.ways:
        for its in other.ways:
            if (
                matched_lengths(way.end, its.end, config.slack)
                and _off_topic(its, way, one, config)
                and _off_topic(way, its, other, config)
            ):
                return way, its
    return None


def _off_topic(strange: _Way, own: _Way, answer: _Answer, config: ThoroughnessConfig) -> bool:
    """Tell whether an end says far less of an answer's topic than its own one, and yet has as many words asked for."""
    return len(strange.words & answer.asked) >= len(own.words & answer.asked) and _said(strange, answer.topic) <= (
        1 - config.gap
    ) * _said(own, answer.topic)


def _pair(answer: _Answer, way: _Way, strange: _Way, hit: Neighbour) -> PreferencePair:
    return PreferencePair(
        question=answer.thread.question,
        chosen=f"{way.beginning}\n\n{way.end}",
        rejected=f"{way.beginning}\n\n{strange.end}",
        axiom="thoroughness",
        principle=PRINCIPLE,
        source=answer.thread.source,
        thread_id=answer.thread.id,
        provenance={"recipe": answer.recipe, "rank": hit.rank, "similarity": round(hit.similarity, 3)},
    )
