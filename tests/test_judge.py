"""The judge: best answers, win rates, and chosen and rejected answers as a map of `datasets`."""

import pickle
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import datasets
import numpy as np
import pytest

from prefmodel.errors import InputError
from prefmodel.rewards import PairwiseJudge

ROOT = Path(__file__).parents[1]
QUESTION = "Why is the sky blue?"
DIALOGUE = [{"role": "user", "content": QUESTION}]
ANSWERS = ["Because air scatters blue light.", "No idea.", "The sea is mirrored in it.", "Blue is the sky."]


def message(text):
    return [{"role": "assistant", "content": text}]


@pytest.fixture
def judge(model):
    return PairwiseJudge(model, min_gap=0.001, max_pairs=10)


def raises(text):
    return pytest.raises(InputError, match=text)


def test_the_best_has_the_highest_score_in_any_order(judge, model):
    best = ANSWERS[int(model.score(QUESTION, ANSWERS).argmax())]
    orders = list(permutations(ANSWERS))
    assert [order[i] for order, i in zip(orders, judge.judge([QUESTION] * 24, orders), strict=True)] == [best] * 24
    assert judge.judge([DIALOGUE], [[message(a) for a in ANSWERS]]) == judge.judge([QUESTION], [ANSWERS])
    assert judge.judge([], []) == []


def test_win_rates_are_mean_probabilities(judge, model):
    [rates] = judge.win_rates([QUESTION], [ANSWERS])
    for i, rate in enumerate(rates):
        others = [model.compare(QUESTION, ANSWERS[i], other) for j, other in enumerate(ANSWERS) if j != i]
        assert rate == pytest.approx(np.mean(others), abs=1e-5)
    assert np.mean(rates) == pytest.approx(0.5)
    assert judge.win_rates([QUESTION], [ANSWERS[:2]])[0][0] == pytest.approx(
        model.compare(QUESTION, *ANSWERS[:2]), abs=1e-5
    )


def test_an_answer_without_text_loses(judge):
    assert judge.judge([QUESTION] * 2, [["", "x"], ["x", " "]]) == [1, 0]
    assert judge.win_rates([QUESTION], [["", "x", "x", "\n"]]) == [pytest.approx([0.5 / 3, 2.5 / 3, 2.5 / 3, 0.5 / 3])]
    call = [{"role": "assistant", "content": None, "tool_calls": []}]
    assert judge.judge([DIALOGUE], [[call, message("x")]]) == [1]


def test_pairs_as_a_map_of_datasets(judge, model):
    repeated = {"prompt": [{"role": "user", "content": "Why?"}], "completions": [*map(message, ("x", "x", ""))]}
    rows = [{"prompt": DIALOGUE, "completions": [*map(message, ANSWERS)]}, repeated]
    dataset = datasets.Dataset.from_list(rows)
    pairs = dataset.map(judge.pairs, batched=True, remove_columns=dataset.column_names)
    scores = dict(zip(ANSWERS, model.score(QUESTION, ANSWERS).tolist(), strict=True))
    assert len(pairs) == 6  # each two of the four; equal and empty answers make none
    gaps = []
    for row in pairs:
        assert row["prompt"] == DIALOGUE
        chosen, rejected = row["chosen"][0]["content"], row["rejected"][0]["content"]
        assert row["chosen_score"] == pytest.approx(scores[chosen], abs=1e-5)
        assert row["rejected_score"] == pytest.approx(scores[rejected], abs=1e-5)
        assert row["gap"] == pytest.approx((scores[chosen] - scores[rejected]) / model.bundle.temperature, abs=1e-5)
        assert row["probability"] == pytest.approx(model.compare(QUESTION, chosen, rejected), abs=1e-5)
        gaps.append(row["gap"])
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] > 0
    rates = dataset.map(judge.add_win_rates, batched=True)["win_rates"]
    assert rates[0] == pytest.approx(judge.win_rates([QUESTION], [ANSWERS])[0], abs=1e-5)


def test_gap_and_number_of_pairs(judge, model):
    batch = {"prompt": [QUESTION], "completions": [ANSWERS]}
    gaps = judge.pairs(batch)["gap"]
    middle = (gaps[2] + gaps[3]) / 2
    assert PairwiseJudge(model, min_gap=middle, max_pairs=10).pairs(batch)["gap"] == gaps[:3]
    assert PairwiseJudge(model, min_gap=middle, max_pairs=2).pairs(batch)["gap"] == gaps[:2]
    assert PairwiseJudge(model, min_gap=gaps[0] + 1).pairs(batch)["chosen"] == []


SCRIPT = """
import sys
import datasets
from prefmodel.rewards import PairwiseJudge
from tests.test_judge import ANSWERS, QUESTION
judge = PairwiseJudge(sys.argv[1], threads=1, min_gap=0.001)
dataset = datasets.Dataset.from_list([{"prompt": QUESTION, "completions": ANSWERS}] * 4)
pairs = dataset.map(judge.pairs, batched=True, remove_columns=dataset.column_names, num_proc=2)
assert pairs["chosen"][:] == [judge.pairs({"prompt": [QUESTION], "completions": [ANSWERS]})["chosen"][0]] * 4
"""


def test_map_in_several_processes(tiny_bundle):
    # In a process of its own: `map` forks, and the fork of one that has threads, as that of the tests may, can hang.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tiny_bundle)], cwd=ROOT, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr


def test_it_can_be_pickled_for_the_cache_of_datasets(tiny_bundle):
    judge = PairwiseJudge(tiny_bundle, threads=1, min_gap=0.001)
    assert pickle.dumps(judge) == pickle.dumps(pickle.loads(pickle.dumps(judge)))


def test_a_sample_that_fails_is_an_error(judge):
    with raises(r"prompts\[1\] is ''"):
        judge.judge([QUESTION, ""], [ANSWERS, ANSWERS])
    with raises(r"completions\[0\]\[1\] is None"):
        judge.win_rates([QUESTION], [["x", None]])
    for completions in (["x"], "xy", None):
        with raises(r"completions\[0\] is .*; allowed: a list of two or more"):
            judge.judge([QUESTION], [completions])
    with raises("there are 1 and 2 prompts and lists of completions; allowed: equally many"):
        judge.judge([QUESTION], [ANSWERS] * 2)
    with raises("completions is no column; there are prompt"):
        judge.pairs({"prompt": [QUESTION]})
    with raises("min_gap is 0; allowed: above 0"):
        PairwiseJudge(min_gap=0)
    with raises("max_pairs is 0; allowed: 1 or more"):
        PairwiseJudge(max_pairs=0)
