"""The ladder of axioms at an equal budget: as many pairs and updates for each rung, measured on the same pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from prefmodel.baselines import bm25, longer
from prefmodel.encoding import PairEncoder
from prefmodel.errors import InputError, shown
from prefmodel.evaluation import Scorer, evaluate_pairs
from prefmodel.files import whole_file
from prefmodel.types import PreferencePair
from training import ablate_pairs as pairs_of
from training.ablate_plot import draw
from training.ablate_report import as_markdown
from training.ablate_results import Measured, Rung, results_of
from training.ablate_run import kept_scores, start_net, trained
from training.ablate_rungs import HUMAN, START, rungs_of, twins
from training.data import RunData
from training.model import PreferenceNet, load_tokenizer
from training.recipe import Recipe

MOST = 2000
"""Pairs that a rung is trained on by default, if all have as many."""


@dataclass(frozen=True, slots=True)
class Options:
    """What is compared.

    Args:
        recipe: base, files, lengths, objective and how each rung is trained; its limits and teachers do not count.
        data_folder: where the recipe's files are.
        folder: gets all that is made; runs that are finished there are not made again.
        pairs: that each rung is trained on; None for as many as all of them have, at most `MOST`.
        seeds: runs of each rung; the first has the recipe's seed.
        rungs: their names; None for all.
        labels: files of labelled pairs that are measured on, and never trained on.
    """

    recipe: Recipe
    data_folder: Path
    folder: Path
    pairs: int | None = None
    seeds: int = 3
    rungs: Sequence[str] | None = None
    labels: Sequence[Path] = ()


def ablate(options: Options, say: Callable[[str], None]) -> dict[str, Any]:
    """Train and measure the rungs, and return what was found, which `options.folder` has as files too.

    The folder gets `ablation.json`, `ablation.md` and `ablation.png`, anew after each seed; `pool/` (all pairs),
    `pairs/` (those of each run) and `runs/` (each with its checkpoint and its scores). Nothing is chosen by the
    held-out pairs, so both "dev" and "test" are measured on.

    Args:
        options: what is compared.
        say: is told what is being done.

    Raises:
        PrefModelError: a rung is unknown or has too few pairs, a file is missing or malformed, there are no human
            labels to measure on, or training was stopped since it could not come to good.
        KeyboardInterrupt: by Ctrl-C; the same call goes on.
    """
    named = pairs_of.axioms_of(options.recipe, options.data_folder)
    _check_names(options.rungs, [*rungs_of(named)])
    bm25([], [])  # says now, not after hours, that bm25s is missing
    labels = pairs_of.read_labels(options.labels)
    run = pairs_of.pool(options.recipe, options.data_folder, options.folder / "pool", say)
    heldout = _heldout(run, named, labels)
    say("drawing the pairs of the rungs")
    train = pairs_of.by_axiom(run.train)
    ladder = _Ladder(options, {name: train[name] for name in named if name in train}, labels)
    if ladder.lacking:
        say(f"left out, since there are no pairs of their axioms: {', '.join(ladder.lacking)}")
    say(f"{len(ladder.trained)} rungs, {options.seeds} seeds, {ladder.pairs} pairs each")
    sets = {name: Measured() for name in (*heldout, *labels)}
    measure = partial(_measure, {**heldout, **labels}, sets)
    measure({"longer": longer, "bm25": bm25})
    results: dict[str, Any] = {}
    for number, seed in enumerate(ladder.seeds, 1):
        for at, (name, scorer) in enumerate(ladder.runs(seed), 1):
            measure({name: scorer})
            say(f"seed {number} of {options.seeds}, rung {at} of {len(ladder.trained)}: {name} is trained and measured")
        about = {
            "pairs": ladder.pairs,
            "updates": ladder.updates,
            "max_tokens": options.recipe.encoding.max_tokens,
            "seeds": ladder.seeds[:number],
            "seeds_asked": options.seeds,
            "left_out": ladder.lacking,
            "recipe": options.recipe.to_dict(),
            "data": run.report,
        }
        results = results_of(ladder.rows(number), sets, [*labels], about)
        _write(results, options.folder)
    return results


class _Ladder:
    """The rungs, their pairs, and their runs.

    Args:
        options: what is compared.
        pairs: that rungs can be trained on, by axiom.
        labels: what they must not be trained on.
    """

    def __init__(
        self,
        options: Options,
        pairs: pairs_of.ByAxiom,
        labels: Mapping[str, Sequence[PreferencePair]],
    ):
        self._recipe, self._folder = options.recipe, options.folder
        self._encoder = PairEncoder(load_tokenizer(self._recipe.base), self._recipe.encoding)
        exclude, most = pairs_of.excluding(labels), options.pairs or MOST
        self.seeds = [self._recipe.seed + i for i in range(options.seeds)]
        self._drawn = {seed: pairs_of.draw(pairs, most, seed, self._encoder, exclude) for seed in self.seeds}
        first = self._drawn[self.seeds[0]]
        every = rungs_of(first)
        rungs = {name: own for name, own in every.items() if options.rungs is None or name in options.rungs}
        self.lacking = [name for name in options.rungs or () if name not in every]
        if not any(rungs.values()):
            raise InputError(
                f"--rungs is {shown(','.join(options.rungs or ()))}; allowed with these pairs: {_listed(every)}"
            )
        # By default the budget is one for all rungs, so that others can join those that are finished.
        counted = every if options.pairs is None else rungs
        self.pairs = pairs_of.budget(first, {n: own for n, own in counted.items() if own}, options.pairs, most)
        self.updates = 0
        self._mix = {name: pairs_of.mix(first, own, self.pairs) if own else {} for name, own in rungs.items()}
        self._twin = twins(every)
        self.trained = [*dict.fromkeys(self._twin[name] for name in rungs)]

    def runs(self, seed: int) -> Iterator[tuple[str, Scorer]]:
        """Train what is not trained yet with a seed; yield the name of each run and what scores with it."""
        recipe, folder = replace(self._recipe, seed=seed), self._folder
        mixes = {self._twin[name]: mix for name, mix in self._mix.items()}
        for name in self.trained:
            run, load = _run(name, seed), partial(start_net, recipe)
            if name != START:
                pairs = [pair for axiom, count in mixes[name].items() for pair in self._drawn[seed][axiom][:count]]
                self.updates = trained(recipe, pairs, folder, run)["updates"]
                load = partial(PreferenceNet.from_checkpoint, folder / "runs" / run)
            scores = folder / "runs" / run / "scores"
            yield run, kept_scores(load, self._encoder, scores, recipe.train.batch_tokens, run)

    def rows(self, number: int) -> list[Rung]:
        """Return the rows of the tables, for the first `number` seeds."""
        out = []
        for name, mix in self._mix.items():
            twin = self._twin[name]
            runs = [_run(twin, seed) for seed in self.seeds[:number]]
            out.append(Rung(name, mix, runs, twin if twin != name else None))
        return out


def _heldout(
    run: RunData, named: Sequence[str], labels: Mapping[str, Sequence[PreferencePair]]
) -> dict[str, list[PreferencePair]]:
    """Return the held-out pairs by axiom, of axioms that say which answer is better."""
    found = pairs_of.by_axiom((*run.dev, *run.test))
    heldout = {name: found[name] for name in named if pairs_of.has_better(found.get(name, ()))}
    if HUMAN not in heldout and not labels:
        raise InputError("--labels is missing, and no question with a human label is held out; allowed: either of them")
    if clash := [name for name in labels if name in heldout]:
        raise InputError(f"--labels names {clash[0]}, which is an axiom; allowed: files of other names")
    return heldout


def _measure(
    sets: Mapping[str, Sequence[PreferencePair]], found: Mapping[str, Measured], scorers: Mapping[str, Scorer]
) -> None:
    for name, pairs in sets.items():
        found[name].add(evaluate_pairs(pairs, scorers))


def _check_names(asked: Sequence[str] | None, allowed: Sequence[str]) -> None:
    """Raise InputError when a rung is none of those that the recipe has, or when none is asked for."""
    for name in asked if asked is not None else ():
        if name not in allowed:
            raise InputError(f"--rungs holds {shown(name)}; allowed: {_listed(allowed)}")
    if asked is not None and set(asked) <= {START}:
        raise InputError(f"--rungs is {shown(','.join(asked))}; allowed: at least one that is trained")


def _run(rung: str, seed: int) -> str:
    return f"{rung}-seed{seed}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _write(results: Mapping[str, Any], folder: Path) -> None:
    with whole_file(folder / "ablation.json") as numbers, whole_file(folder / "ablation.md") as text:
        numbers.write_text(json.dumps(results, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        text.write_text(as_markdown(results), encoding="utf-8")
    draw(results, folder / "ablation.png")
