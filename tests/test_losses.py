"""Each loss and regularizer against values worked out by hand, its own gradients, and properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prefmodel.types import CONTRIBUTIONS
from training.objectives.bradley_terry import bradley_terry, smoothed
from training.objectives.hinge import hinge
from training.objectives.regularizers import centring, length_correlation, margin_mse, separation

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


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


@given(SHARES, st.floats(0, 0.49))
def test_smoothing_takes_a_share_of_labels_for_wrong(target, smoothing):
    found = smoothed(numbers(target), smoothing).item()
    assert found == pytest.approx((1 - smoothing) * target + smoothing * (1 - target))
    assert abs(found - 0.5) <= abs(target - 0.5) + 1e-12


@pytest.mark.parametrize(
    ("difference", "margin", "target", "expected"),
    [
        (0.0, 1.0, 1.0, 1.0),
        (0.4, 1.0, 1.0, 0.6),
        (1.0, 1.0, 1.0, 0.0),
        (5.0, 1.0, 1.0, 0.0),
        (-2.0, 1.0, 1.0, 3.0),
        (-2.0, 1.0, 0.0, 0.0),  # the other side is the better one
        (2.0, 1.0, 0.75, 0.75 * 0 + 0.25 * 3),
        (-2.0, 1.0, 0.5, 2.0),  # should not differ, whatever the margin
    ],
)
def test_the_hinge_by_hand(difference, margin, target, expected):
    found = hinge(numbers(difference), numbers(0.0), numbers(margin), numbers(target))
    assert found.item() == pytest.approx(expected)


@given(LOGITS, LOGITS, st.floats(0, 5), SHARES)
def test_a_swapped_hinge_has_the_opposite_target(chosen, rejected, margin, target):
    one = hinge(numbers(chosen), numbers(rejected), numbers(margin), numbers(target))
    other = hinge(numbers(rejected), numbers(chosen), numbers(margin), numbers(1 - target))
    assert one.item() == pytest.approx(other.item(), abs=1e-6)


def test_centring_pulls_both_scores_to_zero():
    scores = numbers(2.0).requires_grad_()
    centring(scores, scores).sum().backward()
    assert scores.grad.item() == pytest.approx(4.0)


def test_separation_presses_the_other_contributions_of_pairs_that_name_a_principle():
    torch.manual_seed(0)
    chosen, rejected = torch.randn(2, 2, len(CONTRIBUTIONS))
    head = torch.tensor([1, CONTRIBUTIONS.index("general")])
    difference = (chosen - rejected)[0]
    others = sum(difference[i].item() ** 2 for i in range(len(CONTRIBUTIONS)) if i != 1)
    assert separation(chosen, rejected, head).tolist() == pytest.approx([others, 0.0], abs=1e-6)


def test_the_margin_mse_is_smallest_at_the_teachers_margin():
    teacher = numbers(2.0, -1.0)
    assert margin_mse(teacher, teacher).tolist() == [0, 0]
    assert margin_mse(teacher + numbers(0.0, 0.5), teacher).tolist() == pytest.approx([0, 0.25])


def test_a_margin_without_a_teacher_costs_nothing_and_moves_nothing():
    margin = numbers(1.0, 3.0).requires_grad_()
    margin_mse(margin, numbers(float("nan"), 1.0)).sum().backward()
    assert margin.grad.tolist() == [0.0, 4.0]


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-3, 3)), min_size=3, max_size=20))
def test_the_correlation_with_length_is_that_of_numpy(rows):
    differences, ratios = (numbers(*column) for column in zip(*rows, strict=True))
    found = length_correlation(differences, ratios).item()
    assert 0 <= found <= 1 + 1e-9
    if differences.std() > 1e-3 and ratios.std() > 1e-3:
        expected = np.corrcoef(differences.numpy(), ratios.numpy())[0, 1] ** 2
        assert found == pytest.approx(expected, abs=1e-6)


def test_two_pairs_say_nothing_about_length():
    differences = numbers(1.0, 2.0).requires_grad_()
    loss = length_correlation(differences, numbers(0.1, 0.2))
    loss.backward()
    assert loss.item() == 0
    assert differences.grad.tolist() == [0, 0]
