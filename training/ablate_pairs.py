"""The pairs of an ablation: built once for all rungs, drawn for each, and the sets that all are measured on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from axioms.build import exclusions
from prefmodel.encoding import PairEncoder
from prefmodel.errors import FileFormatError, InputError
from prefmodel.files import format_of, read_pairs
from prefmodel.overlap import Exclusions
from prefmodel.types import PreferencePair
from training import data
from training.ablate_rungs import shares
from training.config import DistilConfig
from training.recipe import Recipe
from training.run_folder import RunFolder

ByAxiom = dict[str, list[PreferencePair]]

CHUNK = 500
"""Pairs that are encoded at once while it is looked for such as differ after truncation."""


def axioms_of(recipe: Recipe, data_folder: Path) -> list[str]:
    """Return the axioms that a recipe names, and those that its files of ready pairs bring along."""
    ready = (pair.axiom for path in data.files(data_folder, recipe.data.pairs) for pair in read_pairs(path))
    return [*dict.fromkeys((*recipe.data.axioms, *ready))]


def pool(recipe: Recipe, data_folder: Path, folder: Path, say: Callable[[str], None]) -> data.RunData:
    """Build all pairs that a recipe's files give, without its limits, or read those that `folder` holds already.

    Args:
        recipe: of the ablation.
        data_folder: where the recipe's files are.
        folder: gets the pairs.
        say: is told what is being done.

    Raises:
        FileFormatError: a file is missing or malformed.
        InputError: no pairs are built, the objective names what there are none of, or the folder holds those of
            another recipe or other files.
    """
    whole = replace(recipe, data=replace(recipe.data, limits={}), distil=DistilConfig())
    kept = RunFolder(folder, whole)
    run = kept.begun()
    if run is None:
        run = data.load(whole.data, data_folder, whole.seed, say)
        data.check_axioms(whole.objective, run)
        kept.begin(run)
    else:
        data.check_same_files(run, whole.data, data_folder, folder)
    return run


def read_labels(paths: Iterable[Path]) -> dict[str, list[PreferencePair]]:
    """Return the pairs of files of labels by the files' names.

    Raises:
        FileFormatError: a file is missing or malformed, or no pair of it has a better answer.
        InputError: two files have the same name.
    """
    out: dict[str, list[PreferencePair]] = {}
    for path in paths:
        name = path.name.removesuffix(format_of(path))
        if name in out:
            raise InputError(f"--labels names {name} twice; allowed: files of different names")
        out[name] = [*read_pairs(path)]
        if not has_better(out[name]):
            raise FileFormatError(f"{path}: no pairs to measure on; allowed: at least one with a target above .5")
    return out


def excluding(labels: Mapping[str, Sequence[PreferencePair]]) -> Exclusions:
    """Return what keeps files of labels out of what is trained on."""
    return exclusions([], (pair for pairs in labels.values() for pair in pairs))


def has_better(pairs: Iterable[PreferencePair]) -> bool:
    """Return whether a pair says which answer is better; those for invariance say that none is."""
    return any(pair.target > 0.5 for pair in pairs)


def by_axiom(pairs: Iterable[PreferencePair]) -> ByAxiom:
    """Return pairs by their axiom."""
    out: ByAxiom = defaultdict(list)
    for pair in pairs:
        out[pair.axiom].append(pair)
    return dict(out)


def draw(pairs: ByAxiom, most: int, seed: int, encoder: PairEncoder, exclude: Exclusions) -> ByAxiom:
    """Draw at most `most` pairs of each axiom that a run can use, in an order that only the seed decides.

    Pairs that truncation makes equal are passed over: a run would drop them, and its budget would no longer be that of
    the others.

    Args:
        pairs: by axiom.
        most: pairs of an axiom.
        seed: of the order.
        encoder: truncates as the runs do.
        exclude: what is measured on and must not be trained on.
    """
    out: ByAxiom = {}
    for axiom, own in pairs.items():
        order = Random(f"{seed}/{axiom}").sample(own, len(own))
        found: list[PreferencePair] = []
        for start in range(0, len(order), CHUNK):
            found += _usable(order[start : start + CHUNK], encoder, exclude)
            if len(found) >= most:
                break
        if found:
            out[axiom] = found[:most]
    return out


def mix(drawn: ByAxiom, axioms: Iterable[str], total: int) -> dict[str, int]:
    """Return how many of a rung's `total` pairs are of each axiom; see `shares`."""
    return shares({axiom: len(drawn[axiom]) for axiom in axioms}, total)


def budget(drawn: ByAxiom, rungs: Mapping[str, Sequence[str]], asked: int | None, most: int) -> int:
    """Return how many pairs every rung is trained on.

    Args:
        drawn: the pairs that there are, at most `most` of an axiom, or as many as are asked for.
        rungs: the axioms of each rung that is trained.
        asked: pairs that are asked for; None for as many as all rungs have, at most `most`.
        most: see `asked`.

    Raises:
        InputError: a rung has fewer than are asked for.

    >>> pair = PreferencePair("Why?", "Because of x.", "No idea.", axiom="human", source="demo")
    >>> drawn = {"human": [pair] * 3, "usefulness": [pair] * 5}
    >>> budget(drawn, {"human": ["human"], "all": ["human", "usefulness"]}, asked=None, most=5)
    3
    """
    found = {name: sum(len(drawn[axiom]) for axiom in axioms) for name, axioms in rungs.items()}
    least = min(found, key=lambda name: found[name])
    if asked is None:
        return min(most, found[least])
    if asked > found[least]:
        raise InputError(
            f"--pairs is {asked}; allowed: 1 to {found[least]}, which rung {least} has, or --rungs without it"
        )
    return asked


def _usable(pairs: Sequence[PreferencePair], encoder: PairEncoder, exclude: Exclusions) -> list[PreferencePair]:
    questions = [pair.question for pair in pairs]
    chosen = encoder.encode_batch(questions, [pair.chosen for pair in pairs])
    rejected = encoder.encode_batch(questions, [pair.rejected for pair in pairs])
    return [
        pair
        for pair, good, bad in zip(pairs, chosen, rejected, strict=True)
        if good.ids != bad.ids and exclude.reason(pair.question, (pair.chosen, pair.rejected)) is None
    ]
