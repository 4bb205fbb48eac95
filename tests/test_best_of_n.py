"""Best of n: what is known in small cases, and that it is the mean over all choices of n answers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefmodel.best_of_n import IDEAL, best_of_n


def copies(pairs: list[tuple[int, int]], answers: int, scores: list[float], times: int = 10) -> tuple[object, ...]:
    """Return the arguments of `best_of_n` for so many questions that are all alike."""
    shifts = answers * np.arange(times)[:, None]
    chosen, rejected = ((np.array(side) + shifts).ravel() for side in zip(*pairs, strict=True))
    return {"model": np.tile(scores, times)}, chosen, rejected, np.arange(answers * times) // answers


games = st.integers(3, 6).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.sampled_from([(i, j) for i in range(n) for j in range(n) if i != j]), min_size=n, max_size=20),
        st.permutations(range(n)),
    )
)


@settings(deadline=None, max_examples=50)
@given(games)
def test_it_is_the_mean_over_all_choices(given: tuple[int, list[tuple[int, int]], list[int]]) -> None:
    answers, pairs, scores = given
    pairs = [*pairs, *((i, (i + 1) % answers) for i in range(answers))]  # every answer is compared
    won = np.array([sum(a == i for a, _ in pairs) / sum(i in pair for pair in pairs) for i in range(answers)])
    found = best_of_n(*copies(pairs, answers, scores))
    assert found is not None
    assert found.questions == 10
    curve = found.curves["model"]
    assert len(curve) == answers
    for n, estimate in enumerate(curve, 1):
        picked = [won[max(those, key=lambda i: scores[i])] for those in combinations(range(answers), n)]
        assert estimate.value == pytest.approx(np.mean(picked))
        best = np.mean([max(won[i] for i in those) for those in combinations(range(answers), n)])
        assert found.curves[IDEAL][n - 1].value == pytest.approx(best)
        assert estimate.count == 10


def test_equal_scores_pick_at_random() -> None:
    found = best_of_n(*copies([(0, 1), (0, 2), (1, 2)], 3, [1.0, 1.0, 1.0]))
    assert [e.value for e in found.curves["model"]] == pytest.approx([0.5] * 3)
    half = best_of_n(*copies([(0, 1), (0, 2), (1, 2)], 3, [1.0, 1.0, 0.0]))
    assert half.curves["model"][2].value == pytest.approx(0.75)


def test_the_interval_is_over_questions() -> None:
    random = np.random.default_rng(0)
    answers = np.arange(300)
    pairs = [
        (i, j) if random.random() < 0.7 else (j, i)
        for q in range(100)
        for i, j in combinations(answers[q * 3 :][:3], 2)
    ]
    found = best_of_n({"first": -answers.astype(float)}, *map(np.array, zip(*pairs, strict=True)), answers // 3)
    last = found.curves["first"][-1]
    assert last.low < last.value < last.high
    assert 0.05 < last.high - last.low < 0.25
    assert found.curves["first"][0].low == pytest.approx(0.5)  # one of three at random, whatever the labels


def test_few_questions_or_few_answers_give_no_curve() -> None:
    assert best_of_n(*copies([(0, 1), (0, 2), (1, 2)], 3, [3.0, 2.0, 1.0], times=9)) is None
    assert best_of_n(*copies([(0, 1)], 2, [1.0, 2.0], times=50)) is None
