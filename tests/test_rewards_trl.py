"""The reward of TRL's trainers: both formats, failures, other threads and processes, and real training."""

import asyncio
import inspect
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from datasets import Dataset
from transformers import set_seed
from trl import GRPOConfig, GRPOTrainer

from examples.grpo import tiny_policy
from prefmodel.errors import InputError
from prefmodel.rewards import AsyncTRLReward, RewardConfig, TRLReward
from prefmodel.types import CONTRIBUTIONS

QUESTION = "Why is the sky blue?"
ANSWERS = ["Because air scatters blue light.", "No idea.", "The sea is mirrored in it."]
DIALOGUE = [{"role": "user", "content": QUESTION}]


def message(text):
    return [{"role": "assistant", "content": text}]


@pytest.fixture(scope="module")
def reward(tiny_bundle):
    return TRLReward(tiny_bundle, threads=1)


def test_both_formats_and_the_scale(reward, model):
    expected = model.score(QUESTION, ANSWERS) / model.bundle.temperature
    values = reward(prompts=[QUESTION] * 3, completions=ANSWERS, completion_ids=[[1]] * 3, some_column=[0] * 3)
    assert values == pytest.approx(expected.tolist(), abs=1e-5)
    assert {type(value) for value in values} == {float}
    dialogues = model.score([DIALOGUE] * 3, ANSWERS) / model.bundle.temperature
    assert reward([DIALOGUE] * 3, [message(a) for a in ANSWERS]) == pytest.approx(dialogues.tolist(), abs=1e-5)
    assert reward(prompts=[], completions=[]) == []
    with pytest.raises(InputError, match="there are 2 and 1 prompts and completions; allowed: equally many"):
        reward([QUESTION] * 2, ["x"])


def test_an_empty_completion_gets_the_floor_or_is_left_out(reward, model):
    call = [{"role": "assistant", "content": None, "tool_calls": [{}]}]
    assert reward([DIALOGUE] * 3, [message(""), call, message("x")])[:2] == [-5.0, -5.0]
    values = TRLReward(model, RewardConfig(empty=None))([QUESTION] * 2, [" \n", "x"])
    assert values[0] is None
    assert isinstance(values[1], float)


def test_a_sample_that_fails_has_no_reward_and_says_so(reward, caplog):
    logged = {}
    values = reward(["", QUESTION], ["x", "x"], log_metric=logged.__setitem__, trainer_state=object())
    assert values[0] is None
    assert values[1] is not None
    assert "prefmodel: 1 of 2 samples have no reward; prompts[0] is ''" in caplog.text
    assert logged["prefmodel/failed"] == 0.5


def test_where_the_trainer_counts_none_as_0_it_is_an_error(reward, model):
    """OnlineDPO gives trainer_state, but no log_metric."""
    assert len(reward([QUESTION], ["x"], trainer_state=object())) == 1
    with pytest.raises(InputError, match=r"prompts\[0\] is ''"):
        reward([""], ["x"], trainer_state=object())
    with pytest.raises(InputError, match="answer 1 is empty and the option empty is none"):
        TRLReward(model, RewardConfig(empty=None))([QUESTION] * 2, ["x", ""], trainer_state=object())


def test_contributions_are_logged(reward, model):
    logged = {}
    values = reward([QUESTION] * 3, [*ANSWERS[:2], ""], log_metric=logged.__setitem__)
    scored = model.score_batch([QUESTION] * 2, ANSWERS[:2])
    for name, mean in zip(CONTRIBUTIONS, scored.contributions.mean(axis=0), strict=True):
        assert logged.pop(f"prefmodel/{name}") == pytest.approx(float(mean), abs=1e-5)
    raw = logged.pop("prefmodel/raw_score")
    assert raw / model.bundle.temperature == pytest.approx(np.mean(values[:2]), abs=1e-5)
    assert logged == {"prefmodel/empty": pytest.approx(1 / 3), "prefmodel/failed": 0, "prefmodel/cut": 0}
    TRLReward(model, RewardConfig(length_penalty=1, length_free=0), name="mine")(
        [QUESTION], ["x" * 100], log_metric=logged.__setitem__
    )
    assert logged["mine/length_penalty"] == pytest.approx(0.1)
    assert logged["mine/cut"] == 1
    assert "mine/repetition_penalty" not in logged


def test_asynchronous(tiny_bundle, reward):
    waiting = AsyncTRLReward(tiny_bundle, threads=1)
    assert inspect.iscoroutinefunction(waiting.__call__)

    async def two_calls():
        first = waiting(prompts=[QUESTION] * 3, completions=ANSWERS, log_metric=lambda name, value: None)
        return await asyncio.gather(first, waiting([QUESTION], ["x"]))

    values, other = asyncio.run(two_calls())
    assert len(other) == 1
    assert values == pytest.approx(reward([QUESTION] * 3, ANSWERS), abs=1e-5)
    assert waiting.__name__ == "prefmodel"


def test_threads(reward):
    expected = reward([QUESTION] * 3, ANSWERS)
    again = pickle.loads(pickle.dumps(reward))  # not yet loaded
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: again([QUESTION] * 3, ANSWERS), range(40)))
    assert all(result == pytest.approx(expected, abs=1e-5) for result in results)


def train(reward, rows, folder, steps):
    set_seed(0)
    policy, tokenizer = tiny_policy()
    trainer = GRPOTrainer(
        model=policy,
        processing_class=tokenizer,
        reward_funcs=reward,
        train_dataset=Dataset.from_list(rows * 16),
        args=GRPOConfig(
            output_dir=str(folder), max_steps=steps, learning_rate=1e-2, per_device_train_batch_size=16,
            num_generations=8, max_completion_length=8, logging_steps=1, seed=0, use_cpu=True, report_to="none",
            save_strategy="no", disable_tqdm=True,
        ),
    )  # fmt: skip
    trainer.train()
    return [row for row in trainer.state.log_history if "reward" in row]


def test_grpo_learns_and_logs_contributions(reward, tmp_path):
    history = train(reward, [{"prompt": QUESTION}, {"prompt": "Why do cats purr?"}], tmp_path, steps=24)
    assert len(history) == 24
    means = [row["rewards/prefmodel/mean"] for row in history]
    spread = np.mean([row["rewards/prefmodel/std"] for row in history[:6]])
    assert np.mean(means[-6:]) > np.mean(means[:6]) + 0.5 * spread
    for row in history:
        parts = sum(row[f"prefmodel/{name}"] for name in CONTRIBUTIONS)
        assert parts == pytest.approx(row["prefmodel/raw_score"], abs=1e-3)


def test_grpo_takes_dialogues_the_asynchronous_reward_and_none(tiny_bundle, tmp_path):
    reward = AsyncTRLReward(tiny_bundle, RewardConfig(empty=None), threads=1, name="mine")
    rows = [{"prompt": [{"role": "user", "content": "Why is the sky blue?"}]}, {"prompt": DIALOGUE}]
    history = train(reward, rows, tmp_path, steps=2)
    assert all(np.isfinite(row["rewards/mine/mean"]) and "mine/relevance" in row for row in history)
