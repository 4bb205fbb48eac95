"""Verified: where an answer can be checked against a reference, a right one is better than a wrong one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from prefmodel.types import Answer, PreferencePair, Thread

PRINCIPLE = "truthfulness"


@dataclass(frozen=True, slots=True)
class VerifiedConfig:
    """How many pairs are built.

    Args:
        pairs_per_thread: at most so many pairs from one thread, drawn at random.
    """

    pairs_per_thread: int = 3


@dataclass(frozen=True, slots=True)
class Value:
    """What an answer comes to.

    Args:
        number: or None if it is a choice.
        decimals: digits after the point; None for a whole number or a fraction, which are exact.
        percent: whether a percent sign follows the number.
        unit: the word or sign that belongs to the number, or "".
        choice: a letter in upper case, or "yes", "no", "true", "false"; "" for a number.
        said: whether the answer says that this is its end; else it is just the number that it ends with.
    """

    number: Fraction | None = None
    decimals: int | None = None
    percent: bool = False
    unit: str = ""
    choice: str = ""
    said: bool = True


def build(threads: Sequence[Thread], rng: Random, config: VerifiedConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of an answer that ends in the value of the accepted one and an answer that ends in another value.

    The accepted answer is the reference; it has to say its final value: "#### 42", "\\\\boxed{42}", "The answer is 42",
    or nothing but the value. Where no other answer is right, the reference itself is chosen. Answers whose value is not
    known make no pair, nor do wrong ones that do not say their end and hold the right number somewhere.

    Source: arXiv 2402.14830.

    >>> answers = (Answer("6 * 7 = 42. #### 42", accepted=True), Answer("The answer is 42."), Answer("So it is 13."))
    >>> [(p.chosen, p.rejected) for p in build([Thread("demo/1", "demo", "What is 6 * 7?", answers)], Random(0))]
    [('The answer is 42.', 'So it is 13.')]
    """
    config = config or VerifiedConfig()
    for thread in threads:
        reference = next((a for a in thread.answers if a.accepted), None)
        value = final_value(reference.text) if reference else None
        if reference is None or value is None or not value.said:
            continue
        right, wrong = _sorted(thread.answers, reference, value)
        found = [(good, bad) for good in right or [reference] for bad in wrong if good.text != bad.text]
        for good, bad in rng.sample(found, min(config.pairs_per_thread, len(found))):
            yield PreferencePair(
                question=thread.question,
                chosen=good.text,
                rejected=bad.text,
                axiom="verified",
                principle=PRINCIPLE,
                source=thread.source,
                thread_id=thread.id,
                provenance={"recipe": "reference" if good is reference else "answer"},
            )


def _sorted(answers: Sequence[Answer], reference: Answer, value: Value) -> tuple[list[Answer], list[Answer]]:
    """Return the other answers that are right and those that are wrong."""
    right, wrong = [], []
    for answer in answers:
        found = final_value(answer.text) if answer is not reference else None
        verdict = same(value, found) if found else None
        if verdict:
            right.append(answer)
        elif verdict is False and found and (found.said or not _holds(answer.text, value)):
            wrong.append(answer)
    return right, wrong


def _holds(text: str, value: Value) -> bool:
    """Tell whether a number of the text may be the value."""
    numbers = map(_number, _NUMBER.finditer(text))
    return any(number is None or same(value, number) is not False for number in numbers)


_NUMBER = re.compile(
    r"(?<![\w.])(?P<sign>[-−+])?(?P<money>[$£€])?(?:\\?[dt]?frac\{(?P<top>\d+)\}\{(?P<bottom>\d+)\}"
    r"|(?P<mixed>\d+) (?P<over>\d+)/(?P<under>\d+)"
    r"|(?P<whole>\d{1,3}(?:,\d{3})+|\d+)?(?P<point>\.\d+)?(?<=\d)(?:/(?P<divisor>\d+))?)"
    r"(?P<percent> ?\\?%| percent\b)?(?: ?(?P<unit>[A-Za-z°]+))?"
)
_JOINS = "to|or|and|plus|minus|times|by|over|divided|squared|cubed"
_ENDS = re.compile(
    r"[)\]}\"”'’*_.,:;?]*(?:$|(?<=[.;?])\s|\s+(?!\s|"
    rf"[-−–—+*/×·÷±^<>≤≥≠=~:√π\\\d$£€]|\(?(?:{_JOINS}|[a-z])\b))",
    re.IGNORECASE,
)
"""What may follow a number, and its unit, that stands for itself: no more of a term, a range, a time or a list."""
_NO_UNIT = re.compile(rf"(?:{_JOINS}|[xyzie])$", re.IGNORECASE)
_LED = re.compile(
    r"(?:[-−–—+*/×·÷±^<>≤≥≠~√π\\{] ?\(?|[<>!]= ?|\w\(|\d[ ,.:/'’]*"
    rf"|\d\S*(?: [a-z°]+)? (?:{_JOINS}) "
    r"|\b(?:between|from|than|least|most|up to|minus|negative|not|half|twice|double|root|log|ln|either)(?: of)? )$",
    re.IGNORECASE,
)
"""What stands before one that does not."""
_SCALED = re.compile(
    r" ?(?:[²³^]|\*\*|e[-+]?\d|(?:[x×*·]|\\times|\\cdot) ?10 ?(?:[⁰¹²³⁴-⁹⁻^]|\*\*)"
    r"|(?:hundred|thousand|million|billion|trillion|dozen|k|bn|mn)s?\b)",
    re.IGNORECASE,
)
"""What multiplies the number before it."""
_LEFT_SIDES = re.compile(r"(?:(?:(?![.,:;] )[^A-Za-z=\\]|\\[A-Za-z]*|\b[A-Za-z](?![A-Za-z]))*(?<![<>!≤≥])=)+")
"""The beginning of an equation: terms without words, up to the last `=`."""
_FORMS = ((re.compile(r"\\(?:text|mathrm)\{([^{}]*)\}"), r"\1"), (re.compile(r"\^\{?\\circ\}?"), "°"))
"""LaTeX of units and angles, and the same in plain text."""
_BOLD = re.compile(r"(?<!\w)\*\*|\*\*(?!\w)")
_LONGEST = 40
"""Digits of a number that is read; longer ones are no results."""
_CHOICE = re.compile(r"\(?([A-Ha-h])\)|([A-H])(?=[).:,]|\s*$)|(yes|no|true|false)\b", re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}")
_MARK = re.compile(
    r"####|(?:\b(?:the|final|correct|right) |^\W*)answer(?: to this(?: question)?)?(?: is|:)[*:]*", re.IGNORECASE
)
_NEAR = 3
"""Words, at most, between the mark and the value."""
_TAIL = 60
"""Characters, at most, after the last number of a text that ends in it."""
_NONE = re.compile(r"(?:not|un\w+|impossible)\b", re.IGNORECASE)
_ALONE = 4
"""An answer of at most so many words is nothing but its value."""


def final_value(text: str) -> Value | None:
    """Return the value that a text ends in, or None if there is none.

    The last "boxed" one counts, then what follows "####" or "answer is" in the last line or in the first, then a text
    that is nothing but a value, then the last number, if it stands near the end. Of an equation the last side counts.
    A number that is part of something else, as in "10^3", "3 to 5", "12:30" or "2 million", is no value.

    >>> final_value("It is 7, so the answer is 1,250.50 km.")
    Value(number=Fraction(2501, 2), decimals=2, percent=False, unit='km', choice='', said=True)
    >>> final_value("Answer: (b) because of x").choice
    'B'
    """
    text = _BOLD.sub("", text)
    if boxed := _BOXED.findall(text):
        return _value(boxed[-1])
    lines = text.strip().split("\n")
    for line in (lines[-1], lines[0]):  # in between, "the answer is" belongs to a thought, and "####" to a heading
        if marks := list(_MARK.finditer(line)):
            return _value(line[marks[-1].end() :])
    if len(text.split()) <= _ALONE and (alone := _value(text)):
        return alone
    numbers = list(_NUMBER.finditer(text))
    ends = numbers and len(text.rstrip()) - numbers[-1].end() <= _TAIL
    value = _alone(numbers[-1]) if ends else None
    return None if value is None else Value(value.number, value.decimals, value.percent, value.unit, said=False)


def _value(said: str) -> Value | None:
    """Return the value at the start of what an answer says at its end."""
    for form, plain in _FORMS:
        said = form.sub(plain, said)
    said = said.replace("\\(", "").replace("\\)", "").replace("\\$", "$").strip(" *")
    if said.count("$") > 1:  # a formula; one sign alone means dollars
        said = said.replace("$", "")
    if _NONE.match(said):
        return None
    if found := _CHOICE.match(said):
        word = next(group for group in found.groups() if group)
        return Value(choice=word.upper() if len(word) == 1 else word.lower())
    if sides := _LEFT_SIDES.match(said):
        said = said[sides.end() :]
    match = _NUMBER.search(said)
    return _alone(match) if match and len(said[: match.start()].split()) <= _NEAR else None


def _alone(match: re.Match[str]) -> Value | None:
    """Return a number that stands for itself, None for one that is part of something else."""
    text, unit = match.string, match["unit"] or ""
    if _NO_UNIT.match(unit) or not _ENDS.match(text, match.end()):
        return None
    if _LED.search(text[max(0, match.start() - _LONGEST) : match.start()]):
        return None
    return _number(match)


def _number(match: re.Match[str]) -> Value | None:
    """Return a number, None where it is not known how large it is."""
    part = match.groupdict()
    end = match.start("unit") if part["unit"] else match.end()
    if len(match.group()) > _LONGEST or _SCALED.match(match.string, end):
        return None
    if part["money"] and len(part["unit"] or "") == 1:  # $5k, $5m
        return None
    pairs = (("top", "bottom"), ("over", "under"))
    number, decimals = Fraction(0), None
    if any(part[name] and not int(part[name]) for name in ("bottom", "under", "divisor")):
        return None
    for top, bottom in pairs:
        if part[top]:
            number = Fraction(int(part[top]), int(part[bottom])) + int(part["mixed"] or 0)
    if part["whole"] or part["point"]:
        number = Fraction((part["whole"] or "0").replace(",", "") + (part["point"] or "")) / int(part["divisor"] or 1)
        decimals = len(part["point"]) - 1 if part["point"] and not part["divisor"] else None
    if part["sign"] and part["sign"] != "+":
        number = -number
    return Value(number, decimals, bool(part["percent"]), part["money"] or (part["unit"] or "").lower().rstrip("s"))


_ROUNDED = 2
"""Decimals from which a number may be a rounded one."""


def same(one: Value, other: Value) -> bool | None:
    """Tell whether two values are the same, or return None if that cannot be told: units differ, or kinds.

    A number with two decimals or more is the same as one that rounds to it; 50% is the same as 0.5 and as 50.

    >>> value = lambda text: final_value(f"#### {text}")
    >>> same(value("3/4"), value("0.75")), same(value("3.14159"), value("3.14")), same(value("5 km"), value("5 m"))
    (True, True, None)
    """
    if one.choice or other.choice:
        letters = len(one.choice) == len(other.choice) == 1
        words = {one.choice, other.choice} in ({"yes", "no"}, {"true", "false"})
        return one.choice == other.choice if letters or words or one.choice == other.choice else None
    if one.number is None or other.number is None:
        return None
    if one.unit and other.unit and one.unit != other.unit:
        return None
    decimals = [d for d in (one.decimals, other.decimals) if d is not None]
    slack = Fraction(1, 2 * 10 ** min(decimals)) if decimals and min(decimals) >= _ROUNDED else Fraction(0)
    pairs = [(one.number, other.number)]
    if one.percent != other.percent:
        pairs.append((one.number / 100, other.number) if one.percent else (one.number, other.number / 100))
    return any(abs(a - b) <= slack for a, b in pairs)
