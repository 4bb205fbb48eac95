"""How far scores move where they must not: men and women swapped, other names, a greeting, other formatting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prefmodel.errors import InputError
from prefmodel.evaluation import Scorer, question_numbers
from prefmodel.intervals import Estimate, estimates
from prefmodel.types import PreferencePair

ALLOWED = 0.05
"""Of the standard deviation of scores: a shift that is taken for none."""


@dataclass(frozen=True)
class InvarianceReport:
    """What `invariance` found.

    Args:
        pairs: that were measured.
        ignored: pairs left out because one of their answers is labelled better.
        spread: standard deviation of the scores of all answers, logits.
        shifts: kind of change to the mean absolute shift, in standard deviations; `count` is the number of pairs.
    """

    pairs: int
    ignored: int
    spread: float
    shifts: Mapping[str, Estimate]


def invariance(scorer: Scorer, pairs: Sequence[PreferencePair], seed: int = 0) -> InvarianceReport:
    """Return how far a scorer moves, on average, between two answers neither of which is better.

    Args:
        scorer: called once, with both answers of each pair.
        pairs: those with a target of 1/2, as `prefmodel pairs --axioms invariance` builds them; the kind of change is
            their `provenance["recipe"]`, or else their axiom.
        seed: of the intervals, which are bootstraps over questions.

    Raises:
        InputError: no pair has a target of 1/2, all scores are equal, or a score is NaN.

    Source: the swaps of gendered words of arXiv 2307.10522, for which a score must not move.

    >>> from prefmodel.baselines import longer
    >>> pair = PreferencePair("Why?", "Ask him.", "Ask her!!", axiom="invariance", source="demo", target=0.5)
    >>> invariance(longer, [pair]).shifts["invariance"].value
    2.0
    """
    kept = [pair for pair in pairs if pair.target == 0.5]
    if not kept:
        raise InputError(
            f"none of {len(pairs)} pairs has a target of 1/2; allowed: pairs of which neither side is better"
        )
    asked = [(pair.question, answer) for pair in kept for answer in (pair.chosen, pair.rejected)]
    scores = np.asarray(scorer([q for q, _ in asked], [a for _, a in asked]), np.float64)
    spread = float(scores.std())
    if not spread > 0:
        raise InputError(f"the scores of {len(asked)} answers have the spread {spread:g}; allowed: numbers that differ")
    moved = np.abs(scores[::2] - scores[1::2]) / spread
    kinds = np.array([kind_of(pair) for pair in kept])
    clusters = question_numbers(kept)
    shifts = {
        str(kind): estimates({"shift": moved}, clusters, kinds == kind, seed)["shift"] for kind in np.unique(kinds)
    }
    return InvarianceReport(len(kept), len(pairs) - len(kept), spread, shifts)


def kind_of(pair: PreferencePair) -> str:
    """Return what was changed between the answers of a pair: its recipe, or else its axiom."""
    return str(pair.provenance.get("recipe") or pair.axiom)
