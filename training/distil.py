"""Distillation: pairs of answers that no one labelled, with the opinion of teachers as their label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from axioms.build import exclusions
from axioms.duplicates import question_key
from prefmodel.errors import InputError
from prefmodel.files import read_pairs, read_threads
from prefmodel.overlap import Exclusions, QuestionIndex
from prefmodel.splits import split_of
from prefmodel.types import PreferencePair, Thread
from training.config import DistilConfig
from training.data import DISTILLED, TEACHER_MARGIN, RunData, described, files
from training.recipe import Recipe
from training.run_folder import DISTIL
from training.teacher import Teacher, kept_scores


def with_distilled(run: RunData, recipe: Recipe, folder: str | Path, out: Path, say: Callable[[str], None]) -> RunData:
    """Return the pairs of a run with those of `recipe.distil` among its training pairs.

    With `labelled` the pairs that have labels keep them, and get the teachers' margin beside it.

    The scores of each teacher are kept in `out` from batch to batch, so that a run that was killed goes on with them.

    Args:
        run: the pairs that have labels.
        recipe: names teachers and threads.
        folder: where the recipe's files are.
        out: folder of the run; made when there are scores to keep.
        say: is told what is being done.

    Raises:
        FileFormatError: a file is missing or malformed.
        InputError: a teacher cannot be used, or no pairs are left.
        PrefModelError: a teacher gives scores that are no numbers, or cannot read what it should.
    """
    config = recipe.distil
    teachers = [Teacher(name, recipe.encoding, recipe.train.batch_tokens) for name in config.teachers]
    say("reading threads to distil")
    used = files(folder, config.threads)
    threads = [thread for path in used for thread in read_threads(path)]
    excluded = files(folder, recipe.data.exclude)
    exclude = exclusions([], (pair for path in excluded for pair in read_pairs(path)))
    heldout = QuestionIndex([pair.question for pair in (*run.dev, *run.test)])
    drawn, left_out = unlabelled(threads, config, recipe.seed, exclude, heldout)
    if not drawn:
        raise InputError(f"no pairs to distil are left of {len(threads)} threads; look at distil.threads")
    labels = f", and {len(run.train)} with labels," if config.labelled else ""
    say(f"drew {len(drawn)} pairs of {len(threads)} threads{labels} for the teachers to score")

    asked = drawn + (run.train if config.labelled else [])
    answers = list(dict.fromkeys((pair.question, text) for pair in asked for text in (pair.chosen, pair.rejected)))
    row = {answer: i for i, answer in enumerate(answers)}
    sides = np.array([[row[p.question, text] for text in (p.chosen, p.rejected)] for p in asked])
    margins = np.empty((len(teachers), len(asked)))
    facts = []
    # Making a network draws random numbers; the run's should not depend on whether its pairs are there already.
    with torch.random.fork_rng(devices=[]):
        for i, teacher in enumerate(teachers):
            scores, sha256 = kept_scores(teacher, answers, out / DISTIL, say)
            margins[i] = scores[sides[:, 0]] - scores[sides[:, 1]]
            facts.append({"name": teacher.name, "sha256": sha256})

    names, new = config.teachers, len(drawn)
    own = [
        replace(pair, provenance={**pair.provenance, **_said(margin, names, config.temperature)})
        for pair, margin in zip(asked[new:], margins.T[new:], strict=True)
    ]
    pairs = (own or run.train) + labelled(drawn, margins[:, :new], names, config.temperature)
    counts = {**run.report["pairs"]["train"], DISTILLED: len(drawn)}
    report = {
        **run.report,
        "pairs": {**run.report["pairs"], "train": dict(sorted(counts.items()))},
        "distil": {
            "files": [described(path, folder, recipe.data.licences) for path in used],
            "teachers": facts,
            "left_out": left_out,
        },
    }
    train = Random(f"{recipe.seed}/distilled").sample(pairs, len(pairs))
    return RunData(train, run.dev, run.test, report)


def unlabelled(
    threads: Sequence[Thread], config: DistilConfig, seed: int, exclude: Exclusions, heldout: QuestionIndex
) -> tuple[list[PreferencePair], dict[str, int]]:
    """Draw pairs of different answers to one question of the split "train"; neither side is preferred.

    Args:
        threads: of several with the same question, the one that is drawn first serves.
        config: how many pairs, in all and of a question.
        seed: the same seed and threads give the same pairs in the same order.
        exclude: evaluation sets; pairs that overlap with them are left out.
        heldout: questions of "dev" and "test"; pairs of those near them are left out.

    Returns:
        The pairs, with a target of one half, and how many were left out, by why.

    >>> from prefmodel.types import Answer
    >>> thread = Thread("demo/1", "demo", "Why is it so?", (Answer("Good."), Answer("Bad."), Answer("Bad.  ")))
    >>> config = DistilConfig(teachers=("t",), threads=("f",))
    >>> pairs, _ = unlabelled([thread], config, 0, Exclusions(), QuestionIndex([]))
    >>> [(sorted([pair.chosen, pair.rejected]), pair.target) for pair in pairs]
    [(['Bad.', 'Good.'], 0.5)]
    """
    rng = Random(f"{seed}/distil")
    out: list[PreferencePair] = []
    seen: set[int] = set()
    left_out = Counter({"question or text of an excluded file": 0, "question near a held-out one": 0})
    for thread in rng.sample(threads, len(threads)):
        key = question_key(thread.question)
        if len(out) >= config.pairs or key in seen or split_of(thread.question) != "train":
            continue
        pairs = _pairs(thread, config.per_question, rng)
        if not pairs:
            continue
        seen.add(key)
        if heldout.match(thread.question) is not None:
            left_out["question near a held-out one"] += len(pairs)
            continue
        clean = [pair for pair in pairs if not exclude.reason(pair.question, (pair.chosen, pair.rejected))]
        left_out["question or text of an excluded file"] += len(pairs) - len(clean)
        out.extend(clean)
    return out[: config.pairs], dict(left_out)


def _pairs(thread: Thread, most: int, rng: Random) -> list[PreferencePair]:
    """Return at most so many pairs of a thread's answers that differ in more than white space, drawn at random."""
    texts: dict[str, str] = {}
    for answer in thread.answers:
        texts.setdefault(" ".join(answer.text.split()), answer.text)
    texts.pop("", None)
    couples = list(combinations(texts.values(), 2))
    drawn = [rng.sample(couple, 2) for couple in rng.sample(couples, min(most, len(couples)))]
    return [
        PreferencePair(thread.question, one, other, DISTILLED, thread.source, target=0.5, thread_id=thread.id)
        for one, other in drawn
    ]


def labelled(
    pairs: Sequence[PreferencePair], margins: NDArray[np.float64], teachers: Sequence[str], temperature: float
) -> list[PreferencePair]:
    """Return pairs with what the teachers say of them; the side that they find better is the chosen one.

    With m the difference of a teacher's scores, chosen minus rejected,

        target = mean over the teachers of sigmoid(m / temperature)
        teacher_margin = mean over the teachers of m / temperature

    The temperature is in both, so that soft Bradley-Terry and margin-MSE want the same difference of scores of the
    student: with one teacher both have their least cost at m / temperature. With several that disagree, the mean of
    the probabilities is nearer to one half than the probability of the mean, and may even lie on its other side.

    Source: Hinton et al., arXiv 1503.02531, section 2 (temperature); Hofstätter et al., arXiv 2010.02666, section 3.2
    (margins of several teachers are averaged).

    Args:
        pairs: unlabelled.
        margins: score of the chosen minus score of the rejected answer, logits, float64 [teachers, pairs].
        teachers: their names.
        temperature: logits.

    >>> pair = PreferencePair("Why?", "Bad.", "Good.", axiom="distilled", source="demo", target=0.5)
    >>> [taught] = labelled([pair], np.array([[-2.0], [-4.0]]), ["a", "b"], temperature=2.0)
    >>> taught.chosen, taught.target, taught.provenance["teacher_margin"], taught.provenance["margins"]
    ('Good.', 0.805928, 1.5, [2.0, 4.0])
    """
    target = ((1.0 + np.tanh(margins / temperature / 2.0)) / 2.0).mean(0)  # sigmoid that cannot overflow
    sign = np.where(target < 0.5, -1.0, 1.0)
    out = []
    for pair, probability, own in zip(pairs, target.tolist(), (margins * sign).T, strict=True):
        chosen, rejected = (pair.chosen, pair.rejected) if probability >= 0.5 else (pair.rejected, pair.chosen)
        provenance = _said(own, teachers, temperature)
        best = round(max(probability, 1.0 - probability), 6)
        out.append(replace(pair, chosen=chosen, rejected=rejected, target=best, provenance=provenance))
    return out


def _said(margins: NDArray[np.float64], teachers: Sequence[str], temperature: float) -> dict[str, Any]:
    """Return what the provenance of a pair keeps of its teachers; margins are float64 [teachers]."""
    return {
        TEACHER_MARGIN: round(float(margins.mean()) / temperature, 4),
        "teachers": list(teachers),
        "margins": [round(margin, 4) for margin in margins.tolist()],
    }
