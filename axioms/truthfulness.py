"""Axiom 3, truthfulness: an answer is better than the same answer made wrong but believable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from axioms.clauses import turn_clauses
from axioms.corruptions import KINDS, Place, places, put
from axioms.lexicon import TYPES, UNITS
from axioms.relevance import best_answer
from axioms.text import asks_for_fiction
from prefmodel.splits import words
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "truthfulness"


@dataclass(frozen=True, slots=True)
class TruthfulnessConfig:
    """How much is made wrong.

    Args:
        errors: at most so many in one answer, all of one kind; one negation, since two may cancel out.
        pairs_per_thread: at most so many pairs from one thread, each with another kind of errors.
    """

    errors: int = 3
    pairs_per_thread: int = 1


def build(threads: Sequence[Thread], rng: Random, config: TruthfulnessConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of an answer and the same answer with wrong numbers, dates, names, opposites or negations.

    Answers of the block exchange words: where one says "12 moons" and another "30 days", each gets the number of the
    other. So every word is put in exactly as often as it is taken out, and a bag of words tells nothing. Both sides
    come from one writer, so style tells nothing either. An answer that finds no partner makes no pair.

    Source: arXiv 2312.02206, axiom 3, without a language model.

    >>> from prefmodel.types import Answer
    >>> threads = [Thread(f"demo/{i}", "demo", "When?", (Answer(text),)) for i, text in enumerate(
    ...     ("It opened in 1987 at noon.", "They say it closed in 2003."))]
    >>> [pair.rejected for pair in build(threads, Random(0))]
    ['It opened in 2003 at noon.', 'They say it closed in 1987.']
    """
    config = config or TruthfulnessConfig()
    texts = [best_answer(thread).text if thread.answers else "" for thread in threads]
    for i, thread in enumerate(threads):
        if "```" in texts[i] or asks_for_fiction(thread.question):  # code has truths of its own, a tale has none
            texts[i] = ""
    said = [set(words(text)) for text in texts]
    by_kind: dict[str, list[tuple[int, Place]]] = defaultdict(list)
    for i, (thread, text) in enumerate(zip(threads, texts, strict=True)):
        for place in places(text, thread.question, thread.source):
            by_kind[place.kind].append((i, place))
    made: dict[int, list[tuple[str, list[list[str]], str]]] = defaultdict(list)
    for i, text in enumerate(texts):
        if (turned := turn_clauses(text)) != text and config.pairs_per_thread:
            made[i].append(("clauses", [], turned))
    for kind in KINDS:
        free = [(i, place) for i, place in by_kind[kind] if len(made[i]) < config.pairs_per_thread]
        for i, swaps in _exchange(free, said, rng, 1 if kind == "negation" else config.errors).items():
            wrong = put(texts[i], {span: word for place, word in swaps for span in place.spans})
            made[i].append((kind, [[place.word, word] for place, word in swaps], wrong))
    for i, thread in enumerate(threads):
        for recipe, changed, wrong in made[i]:
            yield PreferencePair(
                question=thread.question,
                chosen=texts[i],
                rejected=wrong,
                axiom="truthfulness",
                principle=PRINCIPLE,
                source=thread.source,
                thread_id=thread.id,
                provenance={"recipe": recipe, "changed": changed},
            )


_OPEN = 60
"""A place is offered to so many others; more would cost time and find little."""


def _exchange(
    free: Sequence[tuple[int, Place]], said: Sequence[set[str]], rng: Random, errors: int
) -> dict[int, list[tuple[Place, str]]]:
    """Let places of different texts exchange their words, two at a time; return the swaps of each text.

    `said`, the words of each text, gets those that are put in, so that none is put in twice.
    """
    swaps: dict[int, list[tuple[Place, str]]] = defaultdict(list)
    wanted = {i: rng.randint(1, errors) for i in sorted({i for i, _ in free})}
    waiting: dict[Hashable, list[tuple[int, Place]]] = defaultdict(list)

    def open_to_more(i: int, place: Place) -> bool:
        return len(swaps[i]) < wanted[i] and not any(
            start < other_end and other_start < end
            for start, end in place.spans
            for other, _ in swaps[i]
            for other_start, other_end in other.spans
        )

    for i, place in rng.sample(free, len(free)):
        if not open_to_more(i, place):
            continue
        queue = waiting[place.group]
        for at in range(len(queue) - 1, max(-1, len(queue) - 1 - _OPEN), -1):
            j, other = queue[at]
            if i != j and open_to_more(j, other) and _differ(place, other, said[i], said[j]):
                swaps[i].append((place, other.word))
                swaps[j].append((other, place.word))
                said[i].update(words(other.word))
                said[j].update(words(place.word))
                del queue[at]
                break
        else:
            queue.append((i, place))
    return {i: found for i, found in swaps.items() if found}


_SIZE = {word: rank for kind in UNITS for rank, word in enumerate(TYPES[kind])}


def _differ(place: Place, other: Place, said: set[str], other_said: set[str]) -> bool:
    """Tell whether each word would be wrong where the other stands, among the words of that text."""
    if place.sense == other.sense:
        return False
    if isinstance(place.sense, float) and isinstance(other.sense, float):
        apart = abs(place.sense - other.sense)
        if place.group == "year":
            return 2 <= apart <= 6 + (2030 - min(place.sense, other.sense)) / 4  # the further back, the less is known
        return apart >= 0.2 * min(place.sense, other.sense)
    if place.kind == "unit":  # nobody believes 30 years for 30 seconds
        return abs(_SIZE[place.word] - _SIZE[other.word]) <= 2
    if place.kind in ("name", "entity", "date", "antonym"):  # not "between France and France", "hot or hot"
        one, two = set(words(place.word)), set(words(other.word))
        return not (said >= two or other_said >= one or _akin(one - two, two - one))
    return True


_STEM = 4
"""Words that begin with the same letters, so many, may say the same: "Belgium" and "Belgian"."""


def _akin(some: set[str], others: set[str]) -> bool:
    return not {word[:_STEM] for word in some}.isdisjoint(word[:_STEM] for word in others)
