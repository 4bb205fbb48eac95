"""Invariance: what does not matter does not move the score (a man or a woman, a name, a greeting, the formatting)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from axioms.people import MEN, WOMEN, others_by_name, speaks_of_people, swapped_gender, swapped_names
from axioms.text import sentences
from prefmodel.splits import words
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = None  # neither side is better, by any principle

OPENINGS = ("Hi!", "Hello!", "Hi there.", "Hey!", "Good day!", "Greetings!", "Hello, and welcome.")
CLOSINGS = ("Good luck!", "All the best!", "Kind regards", "Take care!", "Cheers!", "Best wishes!", "See you!")
SIGNATURES = ("{answer}\n\n– {name}", "{answer}\n\nBest, {name}", "{name} here. {answer}", "{answer}\n\nYours, {name}")
_GREETS = re.compile(r"(?:hi|hello|hey|dear|greetings|good (?:day|morning|evening))\b", re.IGNORECASE)

LONGEST_LIST = 12
"""Sentences that become a list, at most."""

_BOLD = re.compile(r"(\*\*|__)(?=\S)([^*_\n]*?[^\s*_])\1")
_HEADING = re.compile(r"#{1,6} +(.*?)[ #]*")
_BULLET = re.compile(r"\s*[-*•+] +(\S.*)")
_QUOTE = re.compile(r"[\"“”]|\*\S")
"""What is quoted or emphasised may go over several sentences."""
_FRAGILE = re.compile(r"```|^ {4}|\t|^>|^\s*\||\$|\\\w|<\w|https?://", re.MULTILINE)
"""Code, quotations, tables, formulas, markup and addresses, of which marks are a part."""


@dataclass(frozen=True, slots=True)
class InvarianceConfig:
    """Which answers are changed.

    Args:
        least_words: of an answer.
        answers: of a thread, drawn at random, that are searched for one that can be changed.
    """

    least_words: int = 4
    answers: int = 8


def build(threads: Sequence[Thread], rng: Random, config: InvarianceConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of an answer and the same answer with a change that must not move its score; the target is 1/2.

    Recipes: "gender", men and women change places; "names", first names give way to others, or two different ones sign
    the answer; "greeting", before or after it; "formatting", marks of lists, headings and bold type go, or sentences
    become a list. Which side is called chosen is random. Gender and names are left alone where the question has them,
    and where the text speaks of others by name, about whom the change would be untrue.

    Source: the test of arXiv 2307.10522 (gendered words swapped leave a score unchanged), widened.

    >>> from prefmodel.types import Answer
    >>> thread = Thread("demo/1", "demo", "What now?", (Answer("Ask the waiter, he knows."),))
    >>> pair = next(build([thread], Random(1)))
    >>> pair.chosen, pair.rejected, pair.target
    ('Ask the waiter, he knows.', 'Ask the waitress, she knows.', 0.5)
    """
    config = config or InvarianceConfig()
    for thread in threads:
        long_enough = [a.text for a in thread.answers if len(a.text.split()) >= config.least_words]
        answers = rng.sample(long_enough, min(len(long_enough), config.answers))
        # The first two are rare, so each thread gives what it has of them; of the others it gives one.
        for changes in ((gender,), (names,), rng.sample([formatting, greeting, signature], 3)):
            made = ((change, change(thread.question, text, rng)) for change in changes for text in answers)
            found = next(((change, sides) for change, sides in made if sides is not None), None)
            if found is None:
                continue
            change, sides = found
            one, other = rng.sample(sides, 2)
            yield PreferencePair(
                question=thread.question,
                chosen=one,
                rejected=other,
                axiom="invariance",
                principle=PRINCIPLE,
                source=thread.source,
                thread_id=thread.id,
                target=0.5,
                provenance={"recipe": "names" if change is signature else change.__name__},
            )


# All take (question, answer, rng) and return the two sides, or None where the change cannot be made.
Sides = tuple[str, str]


def gender(question: str, answer: str, rng: Random) -> Sides | None:
    """Swap men and women, where the question speaks of neither nor of anyone by name; None where that is not safe.

    >>> gender("How do I complain?", "Call the waiter and tell him.", Random(0))[1]
    'Call the waitress and tell her.'
    """
    if _about_somebody(question) or _FRAGILE.search(answer):
        return None
    swapped = swapped_gender(answer)
    return None if swapped is None else (answer, swapped)


def names(question: str, answer: str, rng: Random) -> Sides | None:
    """Swap first names for others, where the question has no names; None where there is nothing to swap.

    >>> names("How do I share it?", "Say Tom and Anna share it.", Random(0))[1]
    'Say Kevin and Emma share it.'
    """
    if _about_somebody(question) or _FRAGILE.search(answer):
        return None
    swapped = swapped_names(answer, rng)
    return None if swapped is None else (answer, swapped)


def signature(question: str, answer: str, rng: Random) -> Sides | None:
    """Sign the answer by two different first names, of any gender.

    >>> signature("Why?", "Because of x.", Random(0))
    ('Because of x.\\n\\nYours, Ngozi', 'Because of x.\\n\\nYours, Thomas')
    """
    form = rng.choice(SIGNATURES)
    one, other = (form.format(answer=answer, name=name) for name in rng.sample(MEN + WOMEN, 2))
    return one, other


def greeting(question: str, answer: str, rng: Random) -> Sides | None:
    """Put a greeting before the answer or after it.

    >>> greeting("Why?", "Because of x.", Random(0))[1]
    'Because of x.\\n\\nTake care!'
    """
    joint = "\n\n" if "\n" in answer else rng.choice([" ", "\n\n"])
    before = rng.random() < 0.5 and not _GREETS.match(answer)
    return answer, joint.join([rng.choice(OPENINGS), answer] if before else [answer, rng.choice(CLOSINGS)])


def formatting(question: str, answer: str, rng: Random) -> Sides | None:
    """Take the marks of lists, headings and bold type away, or make a list of sentences; None where neither can be.

    >>> formatting("How?", "You need:\\n- **salt**\\n- water", Random(0))[1]
    'You need: salt; water.'
    """
    if _FRAGILE.search(answer):
        return None
    plain = _without_marks(answer)
    if plain.split() != answer.split():
        return answer, plain
    parts = sentences(answer)
    if "\n" in answer or _QUOTE.search(answer) or not 3 <= len(parts) <= LONGEST_LIST:
        return None
    return answer, "\n".join(f"- {part}" for part in parts)


_WHO = frozenset(("who", "whose", "whom"))


@lru_cache(maxsize=1)  # the answers of a question follow each other
def _about_somebody(question: str) -> bool:
    return not _WHO.isdisjoint(words(question)) or speaks_of_people(question) or others_by_name(question)


def _without_marks(text: str) -> str:
    out: list[str] = []
    listed = False
    for line in text.split("\n"):
        heading, bullet = _HEADING.fullmatch(line), _BULLET.fullmatch(line)
        if bullet:
            item = bullet.group(1).rstrip()
            # A list goes on in the line that leads to it; an item may be a title, so semicolons keep them apart.
            if listed:
                out[-1] = f"{_ended(out[-1], ';')} {item}"
            elif out and out[-1].rstrip().endswith(":"):
                out[-1] = f"{out[-1].rstrip()} {item}"
            else:
                out.append(item)
        else:
            if listed:
                out[-1] = _ended(out[-1], ".")
            out.append(heading.group(1) if heading else line)
        listed = bool(bullet)
    if listed:
        out[-1] = _ended(out[-1], ".")
    return _BOLD.sub(r"\2", "\n".join(out))


def _ended(text: str, mark: str) -> str:
    return text if text[-1] in ".!?:;," else text + mark
