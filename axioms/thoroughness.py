"""Axiom 5, thoroughness: an answer is better than the same with filler in place of its key sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from axioms.relevance import best_answer
from axioms.text import content_words, matched_lengths, sentences
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "thoroughness"

FILLER = (
    "There are several things to keep in mind here.",
    "This is a question that many people ask, and it deserves a careful look.",
    "As always, the details depend on the situation.",
    "It is worth taking some time to think about this.",
    "Different people have different opinions about it.",
    "In the end, it comes down to what works best in your case.",
    "There is a lot that could be said about this topic, and much has been written about it over the years.",
    "Of course, every case is a little different from the next.",
    "That is an important point to consider before going further.",
    "Many factors play a role, and all of them matter in their own way.",
    "It is hard to give one answer that fits everybody.",
    "This has been discussed many times before, and it will surely be discussed again.",
    "Generally speaking, it is good to be aware of this.",
    "You may find more information about this in other places.",
    "With that said, there is more than one way to look at it.",
    "This is something that can be understood in more than one way.",
    "Keep this in mind when you decide what to do.",
    "For some people this matters a great deal, while for others it matters less.",
    "Overall, this is an interesting topic with many sides to it.",
    "It can be useful to know a little more about the background.",
)


@dataclass(frozen=True, slots=True)
class ThoroughnessConfig:
    """How much is taken away.

    Args:
        shortest: the answer has at least so many sentences.
        removed: share of the sentences that go, at least one.
        repeat: share of pairs whose filler repeats what the answer says already, instead of stock sentences.
    """

    shortest: int = 3
    removed: float = 0.4
    repeat: float = 0.4


def build(threads: Sequence[Thread], rng: Random, config: ThoroughnessConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of an answer and the same answer with filler for its key sentences, of about the same length.

    Key sentences have the rarest words among all answers. The filler is of equal length, so that the model cannot
    learn that longer is better.

    Source: arXiv 2312.02206, axiom 5, without a language model.

    >>> from prefmodel.types import Answer
    >>> one = Answer("Use a tin. Oxygen and sunlight spoil ground coffee in a week. Then enjoy it.")
    >>> other = Answer("Use it. Then enjoy a tin.")
    >>> threads = [Thread("demo/0", "demo", "How?", (one,)), Thread("demo/1", "demo", "Why?", (other,))]
    >>> [pair.rejected for pair in build(threads, Random(0), ThoroughnessConfig(repeat=0))]
    ['Use a tin. You may find more information about this in other places. Then enjoy it.']
    """
    config = config or ThoroughnessConfig()
    answers = [best_answer(t).text if t.answers else "" for t in threads]
    rarity = _rarity(answers)
    for thread, answer in zip(threads, answers, strict=True):
        parts = sentences(answer)
        if len(parts) < config.shortest or "```" in answer:
            continue
        keys = _key_sentences(parts, rarity, max(1, round(config.removed * len(parts))))
        repeated = rng.random() < config.repeat
        rest = [p for i, p in enumerate(parts) if i not in keys]
        pool = rest if repeated else FILLER
        changed: list[str] = []
        for i, part in enumerate(parts):
            surplus = len(" ".join(changed)) - len(" ".join(parts[:i]))
            changed.append(_filler(len(part) - surplus, pool, rng) if i in keys else part)
        chosen, rejected = " ".join(parts), " ".join(changed)
        if not matched_lengths(chosen, rejected):
            continue
        yield PreferencePair(
            question=thread.question,
            chosen=chosen,
            rejected=rejected,
            axiom="thoroughness",
            principle=PRINCIPLE,
            source=thread.source,
            thread_id=thread.id,
            provenance={"recipe": "repeated" if repeated else "filler", "removed": len(keys), "sentences": len(parts)},
        )


def _rarity(texts: Sequence[str]) -> dict[str, float]:
    """Return the inverse document frequency of each word."""
    counts = Counter(word for text in texts for word in content_words(text))
    return {word: math.log(len(texts) / n) for word, n in counts.items()}


def _key_sentences(parts: Sequence[str], rarity: Mapping[str, float], count: int) -> set[int]:
    """Return the indices of the `count` sentences with the most rare words; never the first, which sets the topic."""
    # fsum: the order of a set differs from run to run, and with it what a plain sum rounds to.
    weight = [math.fsum(rarity.get(word, 0.0) for word in content_words(part)) for part in parts]
    order = sorted(range(1, len(parts)), key=lambda i: (-weight[i], i))
    return set(order[:count])


def _filler(length: int, pool: Sequence[str], rng: Random) -> str:
    """Return sentences of `pool`, about `length` characters together."""
    out: list[str] = []
    for sentence in rng.sample(pool, len(pool)):
        # Take a sentence where that comes closer to the length than leaving it.
        if len(" ".join([*out, sentence])) - length < length - len(" ".join(out)):
            out.append(sentence)
    return " ".join(out) or min(pool, key=len)
