"""The rewards that OpenRLHF and verl load from a file: found by path, configured from outside, loud when they fail."""

import importlib.util
import json
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import prefmodel.rewards.openrlhf
import prefmodel.rewards.verl
from prefmodel.errors import InputError
from prefmodel.rewards import RewardConfig
from prefmodel.rewards.openrlhf import OpenRLHFReward
from prefmodel.rewards.verl import compute_score, compute_score_batch
from prefmodel.types import CONTRIBUTIONS

QUESTION = "Why is the sky blue?"
DIALOGUE = [{"role": "user", "content": QUESTION}]
ANSWERS = ["Because air scatters blue light.", "No idea.", "The sea is mirrored in it."]
PROMPT = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"
QUERIES = [f"{PROMPT}{answer}<|im_end|>" for answer in ANSWERS]


def raises(message):
    return pytest.raises(InputError, match=message)


def loaded_by_path(module):
    """Return a module as both trainers load it: from its file, entered in no list of modules."""
    spec = importlib.util.spec_from_file_location("reward_func", module.__file__)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def environment(monkeypatch, tiny_bundle):
    monkeypatch.setenv("PREFMODEL_MODEL", str(tiny_bundle))
    monkeypatch.setenv("PREFMODEL_THREADS", "1")
    return monkeypatch


def test_openrlhf_scores_the_dialogue_without_markup(model):
    result = OpenRLHFReward(model)(QUERIES, [PROMPT] * 3, ["label"] * 3)
    scored = model.score_batch([DIALOGUE] * 3, ANSWERS)
    assert result["rewards"] == pytest.approx((scored.scores / model.bundle.temperature).tolist(), abs=1e-5)
    assert result["scores"] == pytest.approx([1 / (1 + math.exp(-r)) for r in result["rewards"]])
    for name, column in zip(CONTRIBUTIONS, scored.contributions.T, strict=True):
        assert result["extra_logs"][name] == pytest.approx(column.tolist(), abs=1e-5)
    json.dumps(result)  # plain numbers only
    assert OpenRLHFReward(model)([], [], [])["rewards"] == []


def test_openrlhf_gives_every_sample_the_same_logs(model):
    result = OpenRLHFReward(model)([QUERIES[0], f"{PROMPT}<|im_end|>"], [PROMPT] * 2, ["", ""])
    assert result["rewards"][1] == -5
    assert result["extra_logs"]["empty"] == [0, 1]
    assert {len(column) for column in result["extra_logs"].values()} == {2}


def test_openrlhf_is_told_of_answers_that_were_cut(model):
    queries = [QUERIES[0], PROMPT + "air " * 500]
    assert OpenRLHFReward(model)(queries, [PROMPT] * 2, ["", ""])["extra_logs"]["cut"] == [0, 1]


def test_openrlhf_fails_loudly(model, caplog):
    with raises(r"queries\[0\] is 'Another"):
        OpenRLHFReward(model)(["Another text."], [PROMPT], [""])
    assert [(r.levelname, r.name) for r in caplog.records] == [("ERROR", "prefmodel.rewards.openrlhf")]
    with raises(r"prompts\[0\]"):
        OpenRLHFReward(model)([" x"], [" "], [""])
    with raises("there are 3 and 1 queries and prompts"):
        OpenRLHFReward(model)(QUERIES, [PROMPT], [""])
    with raises("centre is true; allowed: false"):
        OpenRLHFReward(model, RewardConfig(centre=True))
    with raises("empty is none; allowed: a number"):
        OpenRLHFReward(model, RewardConfig(empty=None))


def test_openrlhf_file_takes_its_options_from_the_environment(environment, model):
    environment.setenv("PREFMODEL_REWARD", '{"clip": [-0.2, 0.2]}')
    reward_func = loaded_by_path(prefmodel.rewards.openrlhf).reward_func
    with ThreadPoolExecutor(8) as pool:  # OpenRLHF calls it in threads, with one sample each
        results = list(pool.map(lambda query: reward_func([query], [PROMPT], [""]), QUERIES * 4))
    expected = np.clip(model.score([DIALOGUE] * 3, ANSWERS) / model.bundle.temperature, -0.2, 0.2)
    assert [r["rewards"][0] for r in results] == pytest.approx(expected.tolist() * 4, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PREFMODEL_REWARD", "[1]", "PREFMODEL_REWARD is '\\[1\\]'; allowed: a JSON object"),
        ("PREFMODEL_REWARD", "{", "PREFMODEL_REWARD is '{'"),
        ("PREFMODEL_REWARD", '{"clips": 1}', "clips is no option; allowed: temperature, "),
        ("PREFMODEL_REWARD", '{"clip": [2, 1]}', "clip is \\[2, 1\\]"),
        ("PREFMODEL_THREADS", "two", "PREFMODEL_THREADS is 'two'; allowed: 1 or more"),
    ],
)
def test_a_wrong_environment_is_named(environment, name, value, message):
    environment.setenv(name, value)
    with raises(message):
        loaded_by_path(prefmodel.rewards.openrlhf).reward_func(QUERIES[:1], [PROMPT], [""])


def test_verl_single_and_batch_agree(tiny_bundle, model):
    options = {"model": str(tiny_bundle), "threads": 1}
    infos = [{"question": QUESTION}, {"question": np.array(DIALOGUE, object)}, {"question": DIALOGUE, "index": 3}]
    batch = compute_score_batch(["demo"] * 3, ANSWERS, [None] * 3, infos, **options)
    scored = model.score_batch([QUESTION, DIALOGUE, DIALOGUE], ANSWERS)
    assert [r["score"] for r in batch] == pytest.approx((scored.scores / model.bundle.temperature).tolist(), abs=1e-5)
    for i, row in enumerate(batch):
        assert [row[name] for name in CONTRIBUTIONS] == pytest.approx(scored.contributions[i].tolist(), abs=1e-5)
        single = compute_score(
            data_source="demo", solution_str=ANSWERS[i], ground_truth=None, extra_info=infos[i], **options
        )
        assert single == pytest.approx(row, abs=1e-5)
    plural = compute_score(
        data_sources=["demo"] * 3, solution_strs=ANSWERS, ground_truths=[None] * 3, extra_infos=infos, **options
    )
    assert plural == batch


def test_verl_options(tiny_bundle):
    options = {"model": str(tiny_bundle), "threads": 1, "reward_router_address": "x", "reward_model_tokenizer": None}
    info = {"raw": QUESTION}
    result = compute_score("demo", " ", None, info, question_key="raw", empty=-1.5, **options)
    assert (result["score"], result["empty"], result["raw_score"]) == (-1.5, 1, 0)
    assert (
        compute_score("demo", "x", None, info, question_key="raw", clip=np.array([5.0, 6.0]), **options)["score"] == 5
    )
    whole = compute_score_batch(
        ["demo"] * 3, ANSWERS, [None] * 3, [info] * 3, question_key="raw", centre=True, **options
    )
    assert sum(row["score"] for row in whole) == pytest.approx(0, abs=1e-6)
    for wrong, message in [
        ({"centre": True}, "centre is true; allowed: false, or a reward manager that calls with whole batches"),
        ({"empty": None}, "empty is none; allowed: a number"),
        ({"clips": 1}, "clips is no option"),
    ]:
        with raises(message):
            compute_score("demo", "x", None, info, question_key="raw", **wrong, **options)


def test_verl_fails_loudly(tiny_bundle):
    options = {"model": str(tiny_bundle), "threads": 1}
    for info in (None, {}, {"prompt": QUESTION}):
        with raises(r"extra_infos\[0\] is .*; allowed: a mapping with the question under 'question'"):
            compute_score("demo", "x", None, info, **options)
    with raises(r"extra_infos\[0\]\['question'\] is ''"):
        compute_score("demo", "x", None, {"question": ""}, **options)
    with raises(r"solution_strs\[0\] is None; allowed: text"):
        compute_score("demo", None, None, {"question": QUESTION}, **options)


def test_verl_file_takes_its_options_from_the_environment(environment):
    environment.setenv("PREFMODEL_REWARD", '{"empty": -2.5}')
    module = loaded_by_path(prefmodel.rewards.verl)
    assert module.compute_score("demo", "", None, {"question": QUESTION})["score"] == -2.5


def test_rewards_need_no_trainer_and_no_torch(tiny_bundle):
    code = """
import sys
from prefmodel.rewards import PairwiseJudge, TRLReward
import prefmodel.rewards.openrlhf, prefmodel.rewards.verl
TRLReward(sys.argv[1])(["Why?"], ["x"]), PairwiseJudge(sys.argv[1]).win_rates(["Why?"], [["x", "y"]])
print([name for name in ("torch", "transformers", "datasets", "trl") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code, tiny_bundle], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
