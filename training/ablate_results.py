"""What an ablation found: accuracy of each rung with intervals, beside the start, all axioms and trivial baselines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prefmodel.evaluation import FileResult
from prefmodel.intervals import FLOAT, INT, bootstrap, interval
from training.ablate_rungs import ALL, HUMAN, START

BASELINES = ("longer", "bm25")
REFERENCES = {"minus_start": START, "minus_all": ALL}
FILES_MEAN = "mean of files"
"""Name of the mean over the files of labels, beside the sets that are measured."""


@dataclass(slots=True)
class Measured:
    """The pairs of one set, as all runs and baselines tell them.

    Args:
        correct: float64 [pairs] of each run and baseline: 1 where chosen scored higher, .5 for a tie, else 0.
        clusters: int64 [pairs], the number of the question.
    """

    correct: dict[str, FLOAT] = field(default_factory=dict)
    clusters: INT = field(default_factory=lambda: np.zeros(0, np.int64))

    def add(self, result: FileResult) -> None:
        """Take over what was found on the same pairs by other scorers."""
        self.correct |= result.correct
        self.clusters = result.clusters


@dataclass(frozen=True, slots=True)
class Rung:
    """A row of the tables.

    Args:
        name: of the rung, or of a baseline.
        pairs: how many of each axiom it is trained on.
        runs: names of its runs, one a seed.
        same_as: the rung whose runs it shares, since it has the same axioms, or None.
    """

    name: str
    pairs: Mapping[str, int]
    runs: Sequence[str]
    same_as: str | None = None


def results_of(
    rungs: Sequence[Rung], sets: Mapping[str, Measured], files: Sequence[str], about: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the whole result as JSON values; an interval that is unknown is null.

    Accuracy is the mean over seeds. Its 95% interval resamples the questions, the same for all rungs, so that
    differences are paired; what another seed would have done is no part of it and stands beside it.

    Args:
        rungs: in the order of the tables.
        sets: held-out pairs by axiom, and files of labels.
        files: names of the latter, among `sets`.
        about: what else is to be told.

    >>> told = Measured({"start-0": np.array([0.0, 1.0]), "all-0": np.array([1.0, 1.0])}, np.array([0, 1]))
    >>> rungs = [Rung("start", {}, ["start-0"]), Rung("all", {"human": 9}, ["all-0"])]
    >>> found = results_of(rungs, {"human": told}, [], {})["rungs"]["all"]
    >>> found["accuracy"]["human"]["value"], found["minus_start"]["human"]["value"]
    (1.0, 0.5)
    """
    baselines = [name for name in BASELINES if all(name in told.correct for told in sets.values())]
    rows = {rung.name: rung.runs for rung in rungs} | {name: (name,) for name in baselines}
    means = {name: _Means(told, rows, seed) for seed, (name, told) in enumerate(sets.items())}
    found: dict[str, Any] = {name: _row(name, means) for name in rows}
    if files:
        for name in rows:
            _add_mean(found[name], name, [means[file] for file in files])
    for rung in rungs:
        found[rung.name] |= {"pairs": dict(rung.pairs), "runs": list(rung.runs), "same_as": rung.same_as}
        seeds = {name: [float(told.correct[run].mean()) for run in rung.runs] for name, told in sets.items()}
        if files:
            seeds[FILES_MEAN] = np.mean([seeds[file] for file in files], axis=0).tolist()
        found[rung.name]["seeds"] = seeds
    return {
        "about": dict(about),
        "sets": {
            name: {"pairs": len(told.clusters), "questions": len(np.unique(told.clusters)), "file": name in files}
            for name, told in sets.items()
        },
        "rungs": {rung.name: found[rung.name] for rung in rungs},
        "baselines": {name: found[name] for name in baselines},
    }


def headlines(results: Mapping[str, Any]) -> dict[str, str]:
    """Return what the rungs are compared by, the keys of their accuracy, each with a heading.

    >>> headlines({"sets": {"human": {"file": False}, "mine": {"file": True}}})
    {'human': 'held-out human labels', 'mine': 'labels of mine'}
    """
    files = [name for name, told in results["sets"].items() if told["file"]]
    out = {HUMAN: "held-out human labels"} if HUMAN in results["sets"] else {}
    if files:
        out |= {files[0]: f"labels of {files[0]}"} if len(files) == 1 else {FILES_MEAN: f"mean of {len(files)} files"}
    return out


class _Means:
    """Mean correctness of each row on a set: over all pairs, and over resamples of its questions."""

    def __init__(self, told: Measured, rows: Mapping[str, Sequence[str]], seed: int):
        table = np.stack([np.mean([told.correct[run] for run in runs], axis=0) for runs in rows.values()])
        draws = bootstrap(table, told.clusters, seed)
        self.value = dict(zip(rows, table.mean(axis=1), strict=True))
        self.draws = dict(zip(rows, draws, strict=True))


def _row(name: str, means: Mapping[str, _Means]) -> dict[str, Any]:
    out: dict[str, Any] = {"accuracy": {key: _estimate([mean], name) for key, mean in means.items()}}
    for label, reference in REFERENCES.items():
        if name != reference and all(reference in mean.value for mean in means.values()):
            out[label] = {key: _estimate([mean], name, reference) for key, mean in means.items()}
    return out


def _add_mean(row: dict[str, Any], name: str, files: Sequence[_Means]) -> None:
    row["accuracy"][FILES_MEAN] = _estimate(files, name)
    for label, reference in REFERENCES.items():
        if label in row:
            row[label][FILES_MEAN] = _estimate(files, name, reference)


def _estimate(means: Sequence[_Means], name: str, minus: str | None = None) -> dict[str, float | None]:
    """Return the mean over sets of a row's accuracy, or of what it has more than another row, with its interval."""

    def over(one: Iterable[Any]) -> Any:
        return np.mean(list(one), axis=0)

    value, draws = over(m.value[name] for m in means), over(m.draws[name] for m in means)
    if minus is not None:
        value, draws = value - over(m.value[minus] for m in means), draws - over(m.draws[minus] for m in means)
    low, high = (None if math.isnan(end) else end for end in interval(draws))
    return {"value": float(value), "low": low, "high": high}
