"""Which pairs each update is made of, in which process, and in which forward passes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from random import Random

from training.config import TrainConfig
from training.data import EncodedPair


def plan(pairs: Sequence[EncodedPair], config: TrainConfig, seed: int) -> list[list[int]]:
    """Return the indices of the pairs of each update; pairs and seed alone decide, so that a run can resume.

    Args:
        pairs: what is trained on.
        config: has the epochs, the pairs of an update (the last of an epoch may have fewer), and whether the pairs of
            a question stay together and easy ones come first.
        seed: of the order.

    >>> pair = EncodedPair(None, None, head=0, margin=0.0, target=1.0)
    >>> [len(step) for step in plan([pair] * 5, TrainConfig(step_pairs=2), seed=0)]
    [2, 2, 1]
    """
    steps: list[list[int]] = []
    for epoch in range(config.epochs):
        rng = Random(f"{seed}/{epoch}")
        groups = _by_question(pairs) if config.group_questions else [[i] for i in range(len(pairs))]
        order = rng.sample(groups, len(groups))
        if config.curriculum and epoch == 0:
            hard = hardness(pairs, rng)
            order.sort(key=lambda group: sum(hard[i] for i in group) / len(group))
        steps.extend(_filled(order, config.step_pairs))
    return steps


def hardness(pairs: Sequence[EncodedPair], rng: Random) -> list[float]:
    """Return how hard each pair is among those of its axiom, 0 to 1: the share of them that are easier.

    A share, so that axioms with different measures mix evenly. A pair that does not say how hard it is gets one drawn
    at random.

    Source: arXiv 2310.02263, section 3.3, trains from pairs with a large gap to pairs with a small one.

    >>> pair = lambda difficulty: EncodedPair(None, None, 0, 0.0, 1.0, axiom="a", difficulty=difficulty)
    >>> hardness([pair(0.9), pair(0.1), pair(0.5)], Random(0))
    [0.6666666666666666, 0.0, 0.3333333333333333]
    """
    told: dict[str, list[int]] = defaultdict(list)
    for i, pair in enumerate(pairs):
        if not math.isnan(pair.difficulty):
            told[pair.axiom].append(i)
    out = [rng.random() for _ in pairs]
    for members in told.values():
        members.sort(key=lambda i: pairs[i].difficulty)  # equal ones stay as they are
        for rank, i in enumerate(members):
            out[i] = rank / len(members)
    return out


def share(step: Sequence[int], lengths: Sequence[int], rank: int, processes: int) -> list[int]:
    """Return the pairs of an update that one of several processes computes; the longest first.

    Every process gets as many, up to one, and pairs of like length.

    Args:
        step: indices of the pairs of the update.
        lengths: tokens of each pair, by its index.
        rank: of the process.
        processes: how many there are.

    >>> share([0, 1, 2], [5, 9, 7], rank=0, processes=2)
    [1, 0]
    """
    return sorted(step, key=lambda i: (-lengths[i], i))[rank::processes]


def chunks(mine: Sequence[int], most: int, number: int) -> list[list[int]]:
    """Cut the pairs of a process into `number` chunks of at most `most`, some of them empty; 0 for no bound.

    >>> chunks([4, 2, 7], most=2, number=2)
    [[4, 2], [7]]
    """
    size = most or max(1, len(mine))
    return [list(mine[i * size : (i + 1) * size]) for i in range(number)]


def _by_question(pairs: Sequence[EncodedPair]) -> list[list[int]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for i, pair in enumerate(pairs):
        groups[pair.question].append(i)
    return list(groups.values())


def _filled(groups: Sequence[Sequence[int]], most: int) -> list[list[int]]:
    """Put whole groups into updates of at most `most` pairs; a group of more than that is cut."""
    steps: list[list[int]] = []
    for group in groups:
        for part in (group[i : i + most] for i in range(0, len(group), most)):
            if not steps or len(steps[-1]) + len(part) > most:
                steps.append([])
            steps[-1].extend(part)
    return steps
