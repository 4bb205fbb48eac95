"""The rungs of an ablation: which axioms each is trained on, and how its pairs are shared among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

LADDER = ("usefulness", "relevance", "groundedness", "truthfulness", "relevant_grounding", "thoroughness")
"""The axioms from 0 to 5, in the order of arXiv 2312.02206."""

OPINIONS = ("human", "judged", "strength")
"""Axioms whose pairs say who preferred what, not for which principle."""

START, ALL, HUMAN, AXIOMS, WITHOUT = "start", "all", "human", "axioms", "without-"


def rungs_of(axioms: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the axioms of each rung by its name, in the order of the tables.

    "start" is trained on nothing, "0-2" on the axioms 0 to 2 of `LADDER` as far as they are there, "all" on all of
    them, "without-NAME" on all but one, "human" on human labels alone, "axioms" on all but `OPINIONS`.

    Args:
        axioms: what there are pairs of.

    >>> rungs_of(["human", "usefulness", "relevance"])["0-1"]
    ('usefulness', 'relevance')
    >>> list(rungs_of(["human", "usefulness"]))
    ['start', '0', 'all', 'without-usefulness', 'without-human', 'human', 'axioms']
    """
    given = dict.fromkeys(axioms)
    every = (*(name for name in LADDER if name in given), *(name for name in given if name not in LADDER))
    rungs: dict[str, tuple[str, ...]] = {START: ()}
    for number, axiom in enumerate(LADDER):
        if axiom in every:
            rungs[f"0-{number}" if number else "0"] = tuple(name for name in LADDER[: number + 1] if name in every)
    rungs[ALL] = every
    if len(every) > 1:
        rungs |= {f"{WITHOUT}{axiom}": tuple(name for name in every if name != axiom) for axiom in every}
    if HUMAN in every:
        rungs[HUMAN] = (HUMAN,)
    if principled := tuple(name for name in every if name not in OPINIONS):
        rungs[AXIOMS] = principled
    return rungs


def on_ladder(rung: str) -> bool:
    """Return whether a rung is one of the ladder from the start up to all axioms.

    >>> [name for name in rungs_of(["human", "usefulness"]) if on_ladder(name)]
    ['start', '0', 'all']
    """
    return rung in (START, ALL) or rung[0] == "0"


def twins(rungs: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return for each rung the first one with the same axioms, often itself: one training serves both.

    >>> twins(rungs_of(["human", "usefulness"]))["axioms"]
    '0'
    """
    first: dict[frozenset[str], str] = {}
    return {name: first.setdefault(frozenset(axioms), name) for name, axioms in rungs.items()}


def shares(available: Mapping[str, int], total: int) -> dict[str, int]:
    """Return how many pairs each axiom gives: an equal share, or all that it has, the rest from the others.

    Args:
        available: pairs of each axiom, together `total` or more.
        total: pairs that are wanted.

    >>> shares({"usefulness": 900, "groundedness": 20, "human": 900}, total=300)
    {'usefulness': 140, 'groundedness': 20, 'human': 140}
    """
    out: dict[str, int] = {}
    for rank, name in enumerate(sorted(available, key=lambda name: available[name])):  # what the rare lack is shared
        out[name] = min(available[name], (total - sum(out.values())) // (len(available) - rank))
    return {name: out[name] for name in available}
