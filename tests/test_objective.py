"""What a batch of pairs costs: that the terms add up as the recipe weighs them, and what each of them moves."""

import math
from dataclasses import replace

import pytest
import torch

from prefmodel.types import CONTRIBUTIONS
from training.config import ObjectiveConfig
from training.data import EncodedPair
from training.objective import Labels, objective
from training.objectives.bradley_terry import bradley_terry
from training.objectives.regularizers import length_correlation

PAIR = EncodedPair(None, None, head=0, margin=0.0, target=1.0)
PLAIN = ObjectiveConfig(principle_weight=0.0, centre=0.0)
PAIRS = [
    replace(PAIR, head=0, margin=0.5),
    replace(PAIR, head=5, target=0.7, weight=2.0, taught=1.0),
    replace(PAIR, head=2, margin=0.2, log_ratio=0.4),
]


def contributions(pairs=3, requires_grad=False):
    torch.manual_seed(0)
    return [torch.randn(pairs, len(CONTRIBUTIONS), requires_grad=requires_grad) for _ in range(2)]


def one(value):
    return torch.tensor([value])


def test_the_terms_add_up():
    chosen, rejected = contributions()
    config = ObjectiveConfig(principle_weight=0.3, centre=0.01, teacher=0.2, label_smoothing=0.1)
    expected = 0.0
    for i, pair in enumerate(PAIRS):
        good, bad = chosen[i].sum(), rejected[i].sum()
        target = one(pair.target * 0.9 + (1 - pair.target) * 0.1)
        cost = bradley_terry(good[None], bad[None], one(pair.margin), target).item()
        own = chosen[i, pair.head][None], rejected[i, pair.head][None]
        cost += 0.3 * bradley_terry(*own, one(0.0), target).item()
        cost += 0.01 * ((good + bad).item() / 2) ** 2
        if not math.isnan(pair.taught):
            cost += 0.2 * ((good - bad).item() - pair.taught) ** 2
        expected += pair.weight * cost
    assert objective(chosen, rejected, Labels.of(PAIRS), config).item() == pytest.approx(expected, abs=1e-5)


def test_a_batch_costs_what_its_pairs_cost():
    """So that chunks of pairs, and the processes of a step, may be computed apart."""
    chosen, rejected = contributions()
    config = ObjectiveConfig(separate=0.1, teacher=0.1)
    whole = objective(chosen, rejected, Labels.of(PAIRS), config)
    parts = [objective(chosen[i : i + 1], rejected[i : i + 1], Labels.of(PAIRS[i : i + 1]), config) for i in range(3)]
    assert whole.item() == pytest.approx(sum(part.item() for part in parts), abs=1e-5)


def test_the_principle_term_moves_only_the_pairs_own_head():
    """The score moves all heads alike, so a difference between gradients comes from the principle term."""
    chosen, rejected = contributions(2, requires_grad=True)
    pairs = [replace(PAIR, head=1), replace(PAIR, head=4)]
    objective(chosen, rejected, Labels.of(pairs), replace(PLAIN, principle_weight=0.3)).backward()
    for side in (chosen, rejected):
        for row, pair in enumerate(pairs):
            others = [side.grad[row, i].item() for i in range(len(CONTRIBUTIONS)) if i != pair.head]
            assert others == pytest.approx([others[0]] * len(others))
            assert abs(side.grad[row, pair.head].item()) > abs(others[0]) + 1e-3


def test_the_untouched_base_teaches_the_contribution_of_relevance():
    chosen, rejected = contributions(1, requires_grad=True)
    labels = Labels.of([replace(PAIR, head=1)])
    labels.relevance[0] = 5.0
    difference = (chosen - rejected)[0, 1].item()
    plain = objective(chosen, rejected, labels, PLAIN).item()
    taught = objective(chosen, rejected, labels, replace(PLAIN, base_relevance=0.5))
    assert taught.item() - plain == pytest.approx(0.5 * (difference - 5.0) ** 2, rel=1e-4)


def test_the_length_term_is_the_correlation_times_its_weight():
    chosen, rejected = contributions()
    pairs = [replace(PAIR, log_ratio=ratio) for ratio in (0.1, -0.7, 0.4)]
    labels = Labels.of(pairs)
    with_it, without = (objective(chosen, rejected, labels, replace(PLAIN, length=w)).item() for w in (0.5, 0.0))
    correlation = length_correlation((chosen - rejected).sum(1), labels.log_ratio).item()
    assert with_it - without == pytest.approx(0.5 * 3 * correlation, abs=1e-5)


def test_a_hinge_teaches_a_pairs_own_contribution_too():
    zero = torch.zeros(1, len(CONTRIBUTIONS), requires_grad=True)
    labels = Labels.of([replace(PAIR, head=3, margin=1.0)])
    objective(zero, torch.zeros_like(zero), labels, replace(PLAIN, loss="hinge", principle_weight=1.0)).backward()
    assert zero.grad[0].tolist() == [-1, -1, -1, -2, -1, -1]


def test_a_weight_of_zero_leaves_a_pair_out():
    chosen, rejected = contributions(1, requires_grad=True)
    objective(chosen, rejected, Labels.of([replace(PAIR, weight=0.0)]), ObjectiveConfig(separate=0.1)).backward()
    assert not chosen.grad.any()
