"""What the watch sees in the course of a run, and what it lets pass."""

import pytest

from training.watch import TrainingStopped, Watch


def watched(rows, **settings):
    """Return how many (loss, norm, spread) pass before the watch stops the run, and what it says."""
    watch = Watch(**settings)
    for number, row in enumerate(rows):
        try:
            watch.update(*row)
        except TrainingStopped as stopped:
            return number, str(stopped)
    return len(rows), ""


@pytest.mark.parametrize("bad", [(float("nan"), 1.0, 1.0), (float("inf"), 1.0, 1.0), (0.5, float("nan"), 1.0)])
def test_numbers_that_are_none_stop_at_once(bad):
    number, said = watched([(0.7, 1.0, 1.0)] * 3 + [bad])
    assert number == 3
    assert "train.learning_rate may be too high" in said


def test_an_exploding_loss_stops_after_some_updates():
    number, said = watched([(0.5, 1.0, 1.0)] * 20 + [(9.0, 1.0, 1.0)] * 20)
    assert number == 20 + 9
    assert said.startswith("the loss explodes: 9 where 0.5 was usual, 10 updates in a row")


def test_a_slow_explosion_is_seen_too():
    number, said = watched([(0.5, 1.0, 1.0)] * 20 + [(0.5 * 1.1**i, 1.0, 1.0) for i in range(100)])
    assert number < 60
    assert "where 0.5 was usual" in said


def test_a_few_bad_batches_pass():
    rows = ([(0.5, 1.0, 1.0)] * 20 + [(9.0, 1.0, 1.0)] * 9) * 5
    assert watched(rows) == (len(rows), "")


def test_a_loss_that_falls_to_nothing_is_no_reason_to_stop():
    """Ten times next to nothing is next to nothing."""
    rows = [(1e-6, 1.0, 1.0)] * 50 + [(0.2, 1.0, 1.0)] * 50
    assert watched(rows) == (len(rows), "")


def test_a_collapse_stops_the_run():
    number, said = watched([(0.6, 1.0, 0.8)] * 20 + [(0.693, 0.0, 1e-5)] * 20)
    assert number == 20 + 9
    assert said.startswith("the model collapsed: for 10 updates it has given all answers the same score")


def test_a_start_without_an_opinion_is_no_collapse():
    """Fresh heads give all answers the same score until they have learned something."""
    rows = [(0.693, 1.0, 0.0)] * 40 + [(0.6, 1.0, 0.5)] * 10
    assert watched(rows) == (len(rows), "")
