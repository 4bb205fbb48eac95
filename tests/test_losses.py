"""The training objective, against values worked out by hand and against its own gradients."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefmodel.types import CONTRIBUTIONS
from training.losses import bradley_terry, margin_mse, preference_loss

LOGITS = st.floats(-20, 20)
SHARES = st.floats(0, 1)


def loss_of(chosen, rejected, margin=0.0, target=1.0):
    one = [torch.tensor([value], dtype=torch.float64) for value in (chosen, rejected, margin, target)]
    return bradley_terry(*one).item()


@pytest.mark.parametrize(
    ("chosen", "rejected", "margin", "target", "expected"),
    [
        (0.0, 0.0, 0.0, 1.0, math.log(2)),
        (math.log(3), 0.0, 0.0, 1.0, math.log(4 / 3)),  # sigmoid(log 3) = 3/4
        (math.log(3), 0.0, 0.0, 0.0, math.log(4)),
        (1.0 + math.log(3), 0.5, 0.5, 1.0, math.log(4 / 3)),  # the margin is taken off the difference
        (math.log(3), 0.0, 0.0, 0.75, 0.75 * math.log(4 / 3) + 0.25 * math.log(4)),
    ],
)
def test_values_by_hand(chosen, rejected, margin, target, expected):
    assert loss_of(chosen, rejected, margin, target) == pytest.approx(expected, abs=1e-12)


def test_extreme_scores_stay_finite():
    assert loss_of(-1e4, 1e4) == pytest.approx(2e4)
    assert loss_of(1e4, -1e4) == 0


@given(LOGITS, LOGITS, SHARES)
def test_swapped_sides_have_the_opposite_target(chosen, rejected, target):
    assert loss_of(chosen, rejected, 0, target) == pytest.approx(loss_of(rejected, chosen, 0, 1 - target), abs=1e-9)


@given(LOGITS, LOGITS, st.floats(0, 5), st.floats(0.01, 5))
def test_a_higher_chosen_score_costs_less(chosen, rejected, margin, step):
    assert loss_of(chosen + step, rejected, margin) < loss_of(chosen, rejected, margin)


@given(LOGITS, st.floats(0, 5), st.floats(0.02, 0.98))
def test_the_gradient_vanishes_where_the_probability_is_the_target(rejected, margin, target):
    optimum = rejected + margin + math.log(target / (1 - target))

    def slope(difference):
        chosen = torch.tensor([optimum + difference], dtype=torch.float64, requires_grad=True)
        rest = [torch.tensor([value], dtype=torch.float64) for value in (rejected, margin, target)]
        bradley_terry(chosen, *rest).sum().backward()
        return chosen.grad.item()

    assert slope(0) == pytest.approx(0, abs=1e-9)
    assert slope(-0.1) < -1e-4
    assert slope(0.1) > 1e-4


def batch(pairs=3, requires_grad=False):
    torch.manual_seed(0)
    return [torch.randn(pairs, len(CONTRIBUTIONS), dtype=torch.float64, requires_grad=requires_grad) for _ in range(2)]


def test_the_parts_add_up():
    chosen, rejected = batch()
    head = torch.tensor([0, 5, 2])
    margin, target = torch.tensor([0.5, 0.0, 0.2]), torch.tensor([1.0, 0.7, 1.0])
    expected = 0.0
    for i in range(3):
        whole = chosen[i].sum().item(), rejected[i].sum().item()
        own = chosen[i, head[i]].item(), rejected[i, head[i]].item()
        expected += loss_of(*whole, margin[i].item(), target[i].item())
        expected += 0.3 * loss_of(*own, 0.0, target[i].item())
        expected += 0.01 * ((whole[0] + whole[1]) / 2) ** 2
    loss = preference_loss(chosen, rejected, head, margin, target, principle_weight=0.3, centre=0.01)
    assert loss.item() == pytest.approx(expected / 3, abs=1e-6)


def test_the_principle_term_moves_only_the_pairs_own_head():
    """The score moves all heads alike, so a difference between gradients comes from the principle term."""
    chosen, rejected = batch(2, requires_grad=True)
    head = torch.tensor([1, 4])
    zero, one = torch.zeros(2), torch.ones(2)
    preference_loss(chosen, rejected, head, zero, one, principle_weight=0.3).backward()
    for side in (chosen, rejected):
        for pair, own in enumerate(head.tolist()):
            others = [side.grad[pair, i].item() for i in range(len(CONTRIBUTIONS)) if i != own]
            assert others == pytest.approx([others[0]] * len(others))
            assert abs(side.grad[pair, own].item()) > abs(others[0]) + 1e-3


def test_the_centre_pulls_scores_to_zero():
    scores = torch.full((1, len(CONTRIBUTIONS)), 2.0, requires_grad=True)
    own, zero, half = torch.tensor([0]), torch.zeros(1), torch.full((1,), 0.5)
    preference_loss(scores, scores, own, zero, half, principle_weight=0.0, centre=0.1).backward()
    assert (scores.grad > 0).all()


def test_separation_presses_the_other_contributions_of_pairs_that_name_a_principle():
    chosen, rejected = batch(2)
    head = torch.tensor([1, CONTRIBUTIONS.index("general")])
    zero, one = torch.zeros(2), torch.ones(2)
    without, with_it = (preference_loss(chosen, rejected, head, zero, one, separate=s).item() for s in (0.0, 0.2))
    difference = (chosen - rejected)[0]
    others = sum(difference[i].item() ** 2 for i in range(len(CONTRIBUTIONS)) if i != 1)
    assert with_it - without == pytest.approx(0.2 * others / 2)


def test_the_margin_mse_is_smallest_at_the_teachers_margin():
    teacher = torch.tensor([2.0, -1.0])
    assert margin_mse(teacher, teacher).item() == 0
    assert margin_mse(teacher + torch.tensor([0.0, 0.5]), teacher).item() == pytest.approx(0.125)
    assert margin_mse(teacher[:0], teacher[:0]).item() == 0
