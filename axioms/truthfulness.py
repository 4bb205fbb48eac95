"""Axiom 3, truthfulness: an answer is better than the same answer made wrong but believable."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from axioms.lexicon import OPPOSITES, TYPES
from axioms.relevance import best_answer
from prefmodel.types import PreferencePair, Thread

PRINCIPLE = "truthfulness"


@dataclass(frozen=True, slots=True)
class TruthfulnessConfig:
    """How much is made wrong.

    Args:
        errors: at most so many in one answer.
        negations: share of answers in which a "not" may be one of them. If it were all, the model would learn that the
            answer with more of these words is the wrong one.
        pairs_per_thread: pairs from one thread, each with errors of its own.
    """

    errors: int = 3
    negations: float = 0.25
    pairs_per_thread: int = 1


@dataclass(frozen=True, slots=True)
class Edit:
    """A piece of the text, characters `start` to `end`, that `text` replaces; `kind` says what was changed."""

    start: int
    end: int
    text: str
    kind: str


def build(threads: Sequence[Thread], rng: Random, config: TruthfulnessConfig | None = None) -> Iterator[PreferencePair]:
    """Yield pairs of an answer and the same answer with wrong numbers, dates, units, names or negations.

    Both sides come from one writer, so that style tells nothing. What was changed is recorded.

    Source: arXiv 2312.02206, axiom 3, without a language model.

    >>> from prefmodel.types import Answer
    >>> thread = Thread("demo/1", "demo", "When?", (Answer("It opened on 31 August 2000 in France."),))
    >>> [pair.rejected != pair.chosen for pair in build([thread], Random(0))]
    [True]
    """
    config = config or TruthfulnessConfig()
    for thread in threads:
        if not thread.answers:
            continue
        answer = best_answer(thread).text
        if "```" in answer:  # code has truths of its own
            continue
        seen = {answer}
        for _ in range(config.pairs_per_thread):
            wrong, kinds = corrupt(answer, rng, config.errors, thread.passages, rng.random() < config.negations)
            if wrong in seen:
                continue
            seen.add(wrong)
            yield PreferencePair(
                question=thread.question,
                chosen=answer,
                rejected=wrong,
                axiom="truthfulness",
                principle=PRINCIPLE,
                source=thread.source,
                thread_id=thread.id,
                provenance={"errors": kinds},
            )


def corrupt(
    text: str, rng: Random, errors: int = 3, passages: Sequence[str] = (), negate: bool = True
) -> tuple[str, list[str]]:
    """Make a text wrong but believable; return it with the kinds of its errors, none if nothing could be changed.

    Args:
        text: a true answer.
        rng: decides what is changed.
        errors: at most so many.
        passages: evidence for the answer, from which names may be taken.
        negate: whether a negation may be put in; one may be taken out in any case.

    >>> corrupt("It has 12 moons.", Random(1))
    ('It has 14 moons.', ['number'])
    """
    by_kind: dict[str, list[Edit]] = defaultdict(list)
    for find in (_numbers, _typed_words, _opposites, _negations):
        for edit in find(text, rng):
            by_kind[edit.kind].append(edit)
    for edit in _names(text, passages, rng):
        by_kind[edit.kind].append(edit)
    code = [match.span() for match in _CODE.finditer(text)]
    for kind, edits in by_kind.items():
        by_kind[kind] = [
            edit
            for edit in edits
            if not any(start < edit.end and edit.start < end for start, end in code)
            and (negate or kind != "negation" or len(edit.text) < edit.end - edit.start)
        ]
    chosen: list[Edit] = []
    wanted = rng.randint(1, errors)
    # One kind after another, so that an answer full of numbers does not get wrong numbers only.
    kinds = rng.sample(sorted(by_kind), len(by_kind))
    while len(chosen) < wanted and any(by_kind.values()):
        for kind in kinds:
            if by_kind[kind] and len(chosen) < wanted:
                edit = by_kind[kind].pop(rng.randrange(len(by_kind[kind])))
                if all(edit.end <= other.start or edit.start >= other.end for other in chosen):
                    chosen.append(edit)
    for edit in sorted(chosen, key=lambda e: -e.start):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text, sorted(edit.kind for edit in chosen)


_CODE = re.compile(r"`[^`]*`|https?://\S+|\$[^$]+\$")
"""Inline code, addresses and formulas, which a change would break."""
_NUMBER = re.compile(r"(?<![\w.,/:#-])(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(?![\w/]|[.,:-]\d)")
_LONGEST_NUMBER = 300
"""Digits; floats, by which a number is changed, hold no longer ones."""
_LIST_MARK = re.compile(r"^\s*\d+$")


def _numbers(text: str, rng: Random) -> Iterator[Edit]:
    """Years move by up to 40, days of a month stay days, other numbers change by a tenth to a half or double."""
    for match in _NUMBER.finditer(text):
        line_start = text.rfind("\n", 0, match.start()) + 1
        after = text[match.end() : match.end() + 2]
        if _LIST_MARK.match(text[line_start : match.end()]) and after[:1] in (".", ")"):
            continue  # "1." numbers a list; it is no fact
        if text[match.start() - 1 : match.start()] == "[":
            continue  # "[1]" cites
        whole, fraction = match.group(1), match.group(2) or ""
        if len(whole) > _LONGEST_NUMBER:
            continue
        value = int(whole.replace(",", ""))
        if not fraction and "," not in whole and 1000 <= value <= 2100:
            new = value + rng.choice([-1, 1]) * rng.randint(1, 40)
            yield Edit(match.start(), match.end(), str(new if new <= 2029 else 2029 - (value == 2029)), "date")
        elif not fraction and 1 <= value <= 31 and _near_month(text, match):
            yield Edit(match.start(), match.end(), str(1 + (value - 1 + rng.randint(1, 26)) % 28), "date")
        else:
            yield Edit(match.start(), match.end(), _other_number(whole, value, fraction, rng), "number")


def _near_month(text: str, match: re.Match[str]) -> bool:
    around = text[max(0, match.start() - 11) : match.end() + 11]
    return any(month in around for month in (*TYPES["month"], "May"))


def _other_number(whole: str, value: int, fraction: str, rng: Random) -> str:
    change = max(1, round(value * rng.uniform(0.1, 0.5)))
    new = rng.choice([value + change, value - change, value * 2])
    if new <= 0 or new == value:
        new = value + change
    digits = "".join(str(rng.randint(0, 9)) for _ in fraction[1:])
    return (f"{new:,}" if "," in whole else str(new)) + (f".{digits}" if digits else "")


def _typed_words(text: str, rng: Random) -> Iterator[Edit]:
    """Each word of the lexicon may become another of its type; the article before it changes with it."""
    for match in _LEXICON.finditer(text):
        article, word = match.groups()
        kind = _TYPE_OF[word]
        other = rng.choice([w for w in TYPES[kind] if w != word])
        if text[: match.start(2)].endswith(("New ", "North ", "South ")):
            continue  # "New England" is another name than "England"
        if article:
            edit = f"{_article(article, other)} {other}"
            yield Edit(match.start(), match.end(), edit, _KIND.get(kind, "entity"))
        else:
            yield Edit(match.start(2), match.end(), other, _KIND.get(kind, "entity"))


def _opposites(text: str, rng: Random) -> Iterator[Edit]:
    for match in _OPPOSITE.finditer(text):
        yield Edit(match.start(), match.end(), _TURN_ROUND[match.group()], "opposite")


_AUXILIARY = re.compile(
    r"\b(?<!to )(?<!would )(?<!could )(?<!should )(?<!might )(?<!must )(?<!may )(?<!not )"
    r"(is|are|was|were|can|will|should|could|would|has been|have been)( not\b)?(?= [a-z])"
    r"(?! (?:be )?(?:no|not|nothing|neither)\b)"
)
_CONTRACTED = re.compile(r"\b(is|are|was|were|could|would|should|does|did)n['’]t\b")


def _negations(text: str, rng: Random) -> Iterator[Edit]:
    """Put "not" after an auxiliary verb, or take it away; what is negated in another way is left alone."""
    for match in _AUXILIARY.finditer(text):
        verb = match.group(1)
        negated = f"{verb.split()[0]} not been" if verb.endswith("been") else f"{verb} not"
        new = verb if match.group(2) else "cannot" if verb == "can" else negated
        yield Edit(match.start(), match.end(), new, "negation")
    for match in _CONTRACTED.finditer(text):
        yield Edit(match.start(), match.end(), match.group(1), "negation")


_NAME = re.compile(r"\b(in|at|from|by|of|with|to|and|for|was|is) ((?:[A-Z][a-z]+)(?: [A-Z][a-z]+){0,2})\b")


def _names(text: str, passages: Sequence[str], rng: Random) -> Iterator[Edit]:
    """Swap names that follow the same word and have as many words: "by John Smith" for "by Ann Miller"."""
    pool: dict[tuple[str, int], list[str]] = defaultdict(list)
    for source in (text, *passages):
        for match in _NAME.finditer(source):
            name = match.group(2)
            if name not in pool[match.group(1), name.count(" ")]:
                pool[match.group(1), name.count(" ")].append(name)
    for match in _NAME.finditer(text):
        name = match.group(2)
        others = [n for n in pool[match.group(1), name.count(" ")] if not set(n.split()) & set(name.split())]
        if others and name not in _TYPE_OF:
            yield Edit(match.start(2), match.end(2), rng.choice(others), "name")


def _article(article: str, word: str) -> str:
    """Return "a" or "an", as it stands before `word`, with the first letter of `article`.

    >>> _article("a", "Austrian"), _article("An", "German")
    ('an', 'A')
    """
    vowel = word[0] in "AEIOUaeiou" and not word.startswith(("Eu", "Uk", "Ur", "Ut"))
    return article[0] + ("n" if vowel else "")


_TYPE_OF = {word: kind for kind, members in TYPES.items() for word in members}
_KIND = dict.fromkeys(("month", "weekday"), "date")
_KIND |= dict.fromkeys(("numeral", "ordinal", "magnitude"), "number")
_KIND |= dict.fromkeys(("length", "weight", "time", "volume", "short unit"), "unit")
_TURN_ROUND = {**OPPOSITES, **{opposite: word for word, opposite in OPPOSITES.items()}}


def _any_of(these: Sequence[str]) -> str:
    """Return the regular expression of any of these words, longer ones first."""
    return "|".join(re.escape(w) for w in sorted(these, key=lambda w: -len(w)))


_LEXICON = re.compile(rf"\b(?:([Aa]n?) )?({_any_of(list(_TYPE_OF))})\b")
_OPPOSITE = re.compile(rf"\b(?:{_any_of(list(_TURN_ROUND))})\b")
