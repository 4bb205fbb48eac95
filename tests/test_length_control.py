"""Accuracy with length taken out: what is known of it in simple cases, and that its interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from prefmodel.length_control import length_controlled


def simulated(seed: int, pairs: int, level: float, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what is right and log ratios of lengths, where P(right) = sigmoid(level + slope * ratio)."""
    random = np.random.default_rng(seed)
    ratio = random.normal(0.4, 1, pairs)
    return (random.random(pairs) < 1 / (1 + np.exp(-level - slope * ratio))).astype(float), ratio


def test_the_fit_is_that_of_scikit_learn() -> None:
    right, ratio = simulated(0, 500, 0.5, 1.0)
    theirs = LogisticRegression(C=1e6, tol=1e-10).fit(ratio[:, None], right)
    want = 1 / (1 + math.exp(-theirs.intercept_[0]))
    assert length_controlled(right, ratio, np.arange(500)).value == pytest.approx(want, abs=1e-4)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    truth, held = 1 / (1 + math.exp(-0.5)), 0
    for seed in range(200):
        right, ratio = simulated(seed, 300, 0.5, 1.0)
        found = length_controlled(right, ratio, np.arange(300))
        held += found.low <= truth <= found.high
    assert 180 <= held <= 199


def test_repeated_questions_make_it_wider() -> None:
    right, ratio = simulated(1, 60, 0.3, 0.5)
    clusters = np.arange(60)
    once = length_controlled(right, ratio, clusters)
    thrice = length_controlled(np.tile(right, 3), np.tile(ratio, 3), np.tile(clusters, 3))
    assert thrice.value == pytest.approx(once.value, abs=1e-3)
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=0.02)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.floats(-3, 3), st.integers(0, 4)), min_size=1))
def test_it_is_an_accuracy_whatever_comes(rows: list[tuple[float, float, int]]) -> None:
    right, ratio, clusters = map(np.array, zip(*rows, strict=True))
    found = length_controlled(right, ratio, clusters)
    assert 0 <= found.value <= 1
    assert math.isnan(found.low) == (len({*clusters.tolist()}) < 2)
    if not math.isnan(found.low):
        assert 0 <= found.low <= found.value <= found.high <= 1
    mirrored = length_controlled(1 - right, -ratio, clusters)
    assert mirrored.value == pytest.approx(1 - found.value, abs=1e-6)


@given(st.lists(st.floats(0.05, 3), min_size=2, max_size=30))
def test_the_longer_answer_is_worth_nothing(lengths: list[float]) -> None:
    ratio = np.array([*lengths, *(-x for x in lengths)])
    found = length_controlled((ratio > 0).astype(float), ratio, np.arange(len(ratio)))
    assert found.value == pytest.approx(0.5, abs=1e-6)


def test_without_differences_in_length_it_is_the_accuracy() -> None:
    right = np.array([1.0, 1.0, 0.0, 1.0] * 50)
    assert length_controlled(right, np.zeros(200), np.arange(200)).value == pytest.approx(0.75, abs=1e-4)
