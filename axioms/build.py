"""Threads and human labels to preference pairs: what `prefmodel pairs` and a training recipe run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random

from axioms.registry import AXIOMS, LABELS, NAMES
from prefmodel.errors import InputError, shown
from prefmodel.files import read_pairs, read_rows, read_threads
from prefmodel.overlap import QuestionIndex
from prefmodel.splits import split_of
from prefmodel.types import PreferencePair, Question, Thread


@dataclass(slots=True)
class Counts:
    """What became of the pairs, by axiom.

    Args:
        built: pairs written.
        excluded: pairs left out because their question is one of an evaluation file, or nearly.
        equal: pairs left out because their two sides are equal up to spaces.
        elsewhere: pairs left out because their question is in another split.
    """

    built: Counter[str] = field(default_factory=Counter)
    excluded: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    elsewhere: Counter[str] = field(default_factory=Counter)


def read_sources(paths: Iterable[str | Path]) -> tuple[list[Thread], list[PreferencePair]]:
    """Read files of threads and files of human-labelled pairs; the first row of a file tells which it is.

    Raises:
        FileFormatError: a file is missing or has another format, or a row is neither; the text names file and line.
    """
    threads: list[Thread] = []
    labels: list[PreferencePair] = []
    for path in paths:
        first = next((row for _, row in read_rows(path)), {})
        if "chosen" in first:
            labels.extend(read_pairs(path))
        else:
            threads.extend(read_threads(path))
    return threads, labels


def build_pairs(
    threads: Sequence[Thread],
    labels: Sequence[PreferencePair],
    axioms: Sequence[str] = NAMES,
    seed: int = 0,
    exclude: Iterable[Question] = (),
    limits: Mapping[str, int] | None = None,
    counts: Counts | None = None,
    split: str | None = None,
) -> Iterator[PreferencePair]:
    """Yield the pairs of each axiom in turn.

    An axiom draws from its own stream of random numbers, so the pairs of one do not change when another is added.

    Args:
        threads: questions with answers.
        labels: pairs labelled by humans, for the axiom "human".
        axioms: names out of `NAMES`.
        seed: the same seed and input give the same pairs.
        exclude: questions of evaluation sets; pairs with such a question, or nearly, are left out.
        limits: at most so many pairs of an axiom, drawn at random from those that are not left out.
        counts: is told what was built and left out; the search ends where a limit is reached.
        split: keep only the pairs whose question is in this split; by default all.

    Raises:
        InputError: an axiom is unknown.
        MissingExtraError: an axiom needs hard negatives, and bm25s is not installed.

    >>> from prefmodel.types import Answer
    >>> thread = Thread("demo/1", "demo", "Why?", (Answer("Good.", votes=9), Answer("Bad.", votes=0)))
    >>> [pair.axiom for pair in build_pairs([thread], [], ["usefulness"])]
    ['usefulness']
    """
    check_axioms(axioms)
    counts = counts if counts is not None else Counts()
    forbidden = QuestionIndex(exclude)
    for name in axioms:
        rng = Random(f"{seed}/{name}")
        pairs = AXIOMS[name](threads, rng) if name in AXIOMS else LABELS[name](labels, rng)
        limit = (limits or {}).get(name)
        if limit is not None:
            pairs = iter(_shuffled(pairs, rng))
        yield from islice(_kept(pairs, name, forbidden, counts, split), limit)


def check_axioms(names: Sequence[str]) -> None:
    """Raise InputError if a name is no axiom."""
    for name in names:
        if name not in NAMES:
            raise InputError(f"axiom is {shown(name)}; allowed: {', '.join(NAMES)}")


def _kept(
    pairs: Iterator[PreferencePair], name: str, forbidden: QuestionIndex, counts: Counts, split: str | None
) -> Iterator[PreferencePair]:
    for pair in pairs:
        if split is not None and split_of(pair.question) != split:
            counts.elsewhere[name] += 1
        elif pair.chosen.split() == pair.rejected.split():
            counts.equal[name] += 1
        elif forbidden.match(pair.question) is not None:
            counts.excluded[name] += 1
        else:
            counts.built[name] += 1
            yield pair


def _shuffled(pairs: Iterator[PreferencePair], rng: Random) -> list[PreferencePair]:
    everything = list(pairs)
    rng.shuffle(everything)
    return everything


def by_split(pairs: Iterable[PreferencePair]) -> dict[str, list[PreferencePair]]:
    """Sort pairs into "train", "dev" and "test" by the hash of their question."""
    out: dict[str, list[PreferencePair]] = {"train": [], "dev": [], "test": []}
    for pair in pairs:
        out[split_of(pair.question)].append(pair)
    return out
