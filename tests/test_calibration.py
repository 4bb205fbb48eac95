"""Probabilities against what is true of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefmodel.calibration import BINS, calibration


def margins(seed: int, pairs: int, temperature: float) -> np.ndarray:
    """Return margins of chosen over rejected of a model that is calibrated at a temperature."""
    random = np.random.default_rng(seed)
    size = np.abs(random.normal(0, 2, pairs))
    right = random.random(pairs) < 1 / (1 + np.exp(-size / temperature))
    return np.where(right, size, -size)


def test_only_the_right_temperature_has_no_error() -> None:
    found = {t: calibration(margins(0, 20_000, 2.0), np.arange(20_000), t) for t in (0.5, 1.0, 2.0, 4.0)}
    assert found[2.0].error < 0.02
    assert min(found[0.5].error, found[1.0].error, found[4.0].error) > 0.05
    for each in found[2.0].bins:
        assert each.accuracy.low - 0.02 <= each.confidence <= each.accuracy.high + 0.02


def test_by_hand() -> None:
    """Log-odds of .8: three of four right in that bin, and a tie, which is half right at .5."""
    sure = np.log(4)
    found = calibration(np.array([sure, sure, sure, -sure, 0.0]), np.arange(5))
    assert [(round(b.confidence, 6), b.accuracy.value, b.accuracy.count) for b in found.bins] == [
        (0.5, 0.5, 1),
        (0.8, 0.75, 4),
    ]
    assert found.error == pytest.approx(0.8 * 0.05)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(1e-3, 1e3))
def test_bins_hold_all_pairs(values: list[float], temperature: float) -> None:
    found = calibration(np.array(values), np.arange(len(values)), temperature)
    assert sum(b.accuracy.count for b in found.bins) == len(values)
    assert len(found.bins) <= BINS
    assert 0 <= found.error <= 1
    assert all(0.5 <= b.confidence <= 1 for b in found.bins)
    assert [b.confidence for b in found.bins] == sorted(b.confidence for b in found.bins)
