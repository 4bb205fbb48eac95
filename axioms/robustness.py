"""Robustness: an answer that is dressed up for its judge (flattery, filler, keywords) is no better than it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from axioms.dressing import TRICKS
from axioms.text import sentences
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = None  # what is added is of no use, by any principle


@dataclass(frozen=True, slots=True)
class RobustnessConfig:
    """Which answers are dressed up, and how much.

    Args:
        least_words: of an answer.
        most_words: of an answer; what is added to a long one hardly shows.
        tricks: how many are drawn to be used on one answer; each of these numbers is as likely.
    """

    least_words: int = 4
    most_words: int = 150
    tricks: tuple[int, ...] = (1, 1, 1, 2, 3, 5, 8)


def build(threads: Sequence[Thread], rng: Random, config: RobustnessConfig | None = None) -> Iterator[PreferencePair]:
    """Yield, for each thread, an answer and the same answer with one or more of `axioms.dressing.TRICKS`.

    Words alone tell these pairs, on purpose: a high leak score is no fault here. One kind word does little harm, many
    tricks at once do: the odds of the answer as it was are 1 + 2 x tricks.

    Source: the traps of arXiv 2210.10760 (a reward that can be raised without a better answer is raised), as pairs.

    >>> from prefmodel.types import Answer
    >>> thread = Thread("demo/1", "demo", "Why is the sky blue?", (Answer("Because air scatters blue light."),))
    >>> pair = next(build([thread], Random(3), RobustnessConfig(tricks=(1,))))
    >>> pair.chosen, pair.rejected, pair.target
    ('Because air scatters blue light.', 'Because air scatters blue light. Tags: sky blue sky blue', 0.75)
    """
    config = config or RobustnessConfig()
    for thread in threads:
        fit = [a.text for a in thread.answers if config.least_words <= len(a.text.split()) <= config.most_words]
        if not fit:
            continue
        answer, question = rng.choice(fit), (sentences(thread.question) or [""])[0]  # not the whole post
        used = rng.sample([*TRICKS], min(rng.choice(config.tricks), len(TRICKS)))
        dressed = answer
        for name in used:
            dressed = TRICKS[name](question, dressed, rng)
        yield PreferencePair(
            question=thread.question,
            chosen=answer,
            rejected=dressed,
            axiom="robustness",
            principle=PRINCIPLE,
            source=thread.source,
            thread_id=thread.id,
            target=round(1 - 1 / (2 + 2 * len(used)), 4),
            provenance={"recipe": used[0] if len(used) == 1 else f"{len(used)} tricks"},
        )
