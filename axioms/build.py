"""Threads and human labels to preference pairs: what `prefmodel pairs` and a training recipe run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from axioms.blocks import Block, cut, is_labelled
from axioms.duplicates import NearDuplicates, chosen, pair_key, question_key
from axioms.human import check_label
from axioms.llm.asking import Asking
from axioms.registry import LABELS, NAMES, Axiom, LabelAxiom, axiom
from prefmodel import overlap
from prefmodel.files import read_pairs, read_threads
from prefmodel.overlap import Exclusions
from prefmodel.splits import asked_text, split_of
from prefmodel.types import PreferencePair, Question, Thread

PER_QUESTION = 8
"""Pairs that one axiom builds of one question at most, by default, so that a few questions do not rule the training."""

OTHER_SPLIT, EQUAL, NEAR, DUPLICATE = "other split", "equal sides", "near-duplicate", "duplicate"
OVER_CAP, OVER_LIMIT = "over the cap", "over the limit"
REASONS = (OTHER_SPLIT, EQUAL, *overlap.REASONS, NEAR, DUPLICATE, OVER_CAP, OVER_LIMIT)
"""Why a pair is left out, in the order in which it is looked at."""


@dataclass(slots=True)
class Counts:
    """What became of the pairs, by axiom.

    Args:
        built: pairs that are passed on.
        left_out: those that are not, first by one of `REASONS`, then by axiom.
        skipped: those that a language model was asked for and that did not come about, first by why, then by axiom.
    """

    built: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    skipped: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def excluded(self) -> Counter[str]:
        """Pairs left out because they overlap with an evaluation file, by axiom."""
        return sum((self.left_out[reason] for reason in overlap.REASONS if reason in self.left_out), Counter())


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done with each block; it can be pickled.

    Args:
        axioms: what builds the pairs of each name, run in this order.
        seed: the same seed and blocks give the same pairs.
        split: keep only the pairs whose question is in this split; by default all.
        near: leave out near-duplicates within a block too; needs datasketch.
    """

    axioms: Mapping[str, Axiom | LabelAxiom]
    seed: int = 0
    split: str | None = None
    near: bool = False


def read_sources(
    paths: Iterable[str | Path], check: Callable[[PreferencePair], object] = check_label
) -> tuple[list[Thread], list[PreferencePair]]:
    """Read files of threads and files of human-labelled pairs; the first row of a file tells which it is.

    Args:
        paths: of the files.
        check: raises InputError for a pair that has no place here, by default one that is no label.

    Raises:
        FileFormatError: a file is missing or has another format, or a row is neither, or has no place here; the text
            names file and line.
    """
    threads: list[Thread] = []
    labels: list[PreferencePair] = []
    for path in paths:
        if is_labelled(path):
            labels.extend(read_pairs(path, check))
        else:
            threads.extend(read_threads(path))
    return threads, labels


def exclusions(threads: Iterable[Thread], labels: Iterable[PreferencePair], near: bool = False) -> Exclusions:
    """Return what keeps evaluation sets, given as threads and as pairs, out of the pairs that are built.

    Args:
        threads: their questions are excluded, and their answers and passages as texts.
        labels: their questions are excluded, and both answers as texts.
        near: see `Exclusions`.
    """
    questions: list[Question] = []
    texts: list[str] = []
    for thread in threads:
        questions.append(thread.question)
        texts += (*(answer.text for answer in thread.answers), *thread.passages)
    for pair in labels:
        questions.append(pair.question)
        texts += (pair.chosen, pair.rejected)
    texts += map(asked_text, questions)
    return Exclusions(dict.fromkeys(questions), dict.fromkeys(texts), near)


def build_pairs(
    threads: Sequence[Thread],
    labels: Sequence[PreferencePair],
    axioms: Sequence[str] = NAMES,
    seed: int = 0,
    exclude: Exclusions | None = None,
    limits: Mapping[str, int] | None = None,
    counts: Counts | None = None,
    split: str | None = None,
    per_question: int = PER_QUESTION,
    near: bool = False,
) -> Iterator[PreferencePair]:
    """Yield the pairs of threads and labels in memory; `axioms.engine` does the same with files of any size.

    Each axiom sees a block of threads at a time and draws from its own stream of random numbers, so the pairs of one
    do not change when another is added. Of pairs of one axiom with the same texts only the first is kept.

    Args:
        threads: questions with answers.
        labels: pairs labelled by humans, for the axiom "human".
        axioms: names of `axioms.registry`.
        seed: the same seed and input give the same pairs.
        exclude: evaluation sets; pairs that overlap with them are left out.
        limits: at most so many pairs of an axiom, drawn at random from those that are not left out.
        counts: is told what was built and left out.
        split: keep only the pairs whose question is in this split; by default all.
        per_question: at most so many pairs of one axiom for one question, drawn at random.
        near: leave out near-duplicates too; needs datasketch.

    Raises:
        InputError: an axiom is unknown.
        MissingExtraError: an axiom, or `near`, needs a package that is not installed.

    >>> from prefmodel.types import Answer
    >>> thread = Thread("demo/1", "demo", "Why?", (Answer("Good.", votes=9), Answer("Bad.", votes=0)))
    >>> [pair.axiom for pair in build_pairs([thread], [], ["usefulness"])]
    ['usefulness']
    """
    plan = Plan({name: axiom(name) for name in axioms}, seed, split, near)
    counts = counts if counts is not None else Counts()
    exclude = exclude or Exclusions()
    found = [pair for block in cut(threads, labels) for pair in pairs_of_block(block, plan, exclude, counts)]
    kept = np.zeros(len(found), bool)
    names = np.array([pair.axiom for pair in found], object)
    for name in plan.axioms:
        own = np.flatnonzero(names == name)
        keys = np.array([pair_key(found[i]) for i in own], np.uint64)
        questions = np.array([question_key(found[i].question) for i in own], np.uint64)
        choice = chosen(keys, questions, seed, per_question, (limits or {}).get(name))
        kept[own] = choice.kept
        count(counts, name, choice.left_out)
    for i in np.flatnonzero(kept):
        counts.built[found[i].axiom] += 1
        yield found[i]


def pairs_of_block(block: Block, plan: Plan, exclude: Exclusions, counts: Counts) -> Iterator[PreferencePair]:
    """Yield the pairs of each axiom in turn that a block gives and that nothing in it or in `exclude` speaks against.

    Args:
        block: threads or labels.
        plan: what to do with them.
        exclude: evaluation sets.
        counts: is told what was left out.
    """
    near = NearDuplicates() if plan.near else None
    for name, build in plan.axioms.items():
        rows: Sequence[Any] = block.labels if name in LABELS else block.threads
        for pair in build(rows, Random(f"{plan.seed}/{name}/{block.number}")) if rows else ():
            reason = _against(pair, plan, exclude) or (NEAR if near and near.seen(pair) else None)
            if reason is None:
                yield pair
            else:
                counts.left_out[reason][name] += 1
        if rows and isinstance(build, Asking):
            for why, number in build.take_skipped().items():
                counts.skipped[why][name] += number
        if near:
            near.forget()


def _against(pair: PreferencePair, plan: Plan, exclude: Exclusions) -> str | None:
    if plan.split is not None and split_of(pair.question) != plan.split:
        return OTHER_SPLIT
    if pair.chosen.split() == pair.rejected.split():
        return EQUAL
    return exclude.reason(pair.question, (pair.chosen, pair.rejected))


def count(counts: Counts, name: str, left_out: Sequence[int]) -> None:
    """Add the duplicates, and the pairs over the cap and over the limit, of one axiom to the counts."""
    for reason, number in zip((DUPLICATE, OVER_CAP, OVER_LIMIT), left_out, strict=True):
        if number:
            counts.left_out[reason][name] += number


def by_split(pairs: Iterable[PreferencePair]) -> dict[str, list[PreferencePair]]:
    """Sort pairs into "train", "dev" and "test" by the hash of their question."""
    out: dict[str, list[PreferencePair]] = {"train": [], "dev": [], "test": []}
    for pair in pairs:
        out[split_of(pair.question)].append(pair)
    return out
