"""Which pairs an update is made of: order, questions that stay together, easy before hard, and shares of processes."""

import math
from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from training.config import TrainConfig
from training.data import EncodedPair
from training.plan import chunks, hardness, plan, share

PAIR = EncodedPair(None, None, head=0, margin=0.0, target=1.0)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 9), st.booleans(), st.booleans())
def test_each_epoch_sees_each_pair_once(questions, step_pairs, group, curriculum):
    pairs = [replace(PAIR, question=q, difficulty=q / 7) for q in questions]
    config = TrainConfig(step_pairs=step_pairs, epochs=2, group_questions=group, curriculum=curriculum)
    steps = plan(pairs, config, seed=0)
    assert Counter(i for step in steps for i in step) == dict.fromkeys(range(len(pairs)), 2)
    assert all(0 < len(step) <= step_pairs for step in steps)
    assert plan(pairs, config, seed=0) == steps


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(1, 9))
def test_pairs_of_a_question_stay_together_where_they_fit(questions, step_pairs):
    pairs = [replace(PAIR, question=q) for q in questions]
    steps = plan(pairs, TrainConfig(step_pairs=step_pairs, group_questions=True), seed=1)
    for question, size in Counter(questions).items():
        places = {number for number, step in enumerate(steps) for i in step if pairs[i].question == question}
        assert len(places) == math.ceil(size / step_pairs)


def test_a_curriculum_goes_from_easy_to_hard_in_the_first_epoch_only():
    pairs = [replace(PAIR, axiom="a", difficulty=i / 100, question=i) for i in range(100)]
    steps = plan(pairs, TrainConfig(step_pairs=10, epochs=2, curriculum=True), seed=0)
    assert [i for step in steps[:10] for i in step] == list(range(100))
    assert [i for step in steps[10:] for i in step] != list(range(100))


def test_axioms_with_other_measures_of_difficulty_mix_evenly():
    pairs = [replace(PAIR, axiom="a", difficulty=i, question=i) for i in range(50)]
    pairs += [replace(PAIR, axiom="b", difficulty=i / 1e3, question=50 + i) for i in range(50)]
    pairs += [replace(PAIR, axiom="c", question=100 + i) for i in range(50)]
    steps = plan(pairs, TrainConfig(step_pairs=50, curriculum=True), seed=0)
    for step in steps:
        found = Counter(pairs[i].axiom for i in step)
        assert all(8 <= found[axiom] <= 26 for axiom in "abc")


def test_equal_difficulties_keep_their_order():
    assert hardness([replace(PAIR, difficulty=1.0)] * 4, Random(0)) == [0.0, 0.25, 0.5, 0.75]


@given(st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(1, 5))
def test_processes_share_an_update_without_overlap(lengths, processes):
    step = list(range(len(lengths)))
    shares = [share(step, lengths, rank, processes) for rank in range(processes)]
    assert sorted(i for mine in shares for i in mine) == step
    assert len(shares[0]) - len(shares[-1]) <= 1
    assert all(mine == sorted(mine, key=lambda i: -lengths[i]) for mine in shares)


@given(st.lists(st.integers(), max_size=20), st.integers(0, 7))
def test_chunks_are_the_pairs_in_order(mine, most):
    number = max(1, math.ceil(len(mine) / most)) if most else 1
    found = chunks(mine, most, number)
    assert [i for chunk in found for i in chunk] == mine
    assert len(found) == number
    assert chunks(mine, most, number + 1)[-1] == []
