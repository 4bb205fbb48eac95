"""Rewards from scores: the options, what trainers pass, and a model that threads and processes share."""

import math
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prefmodel.rewards
from prefmodel.errors import BundleError, InputError
from prefmodel.rewards import AsyncTRLReward, RewardConfig, TRLReward
from prefmodel.rewards.markup import answer_after, bare, question_in
from prefmodel.rewards.openrlhf import OpenRLHFReward
from prefmodel.rewards.scorer import SharedModel, score_samples
from prefmodel.rewards.shaping import centred, clipped, excess_length, repeats, shape
from prefmodel.samples import answer_of, question_of
from prefmodel.types import Message

QUESTION = "Why is the sky blue?"
ANSWERS = ["Because air scatters blue light.", "No idea.", "The sea is mirrored in it."]
CALL = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look_up", "arguments": {}}}]}

numbers = st.lists(st.floats(-100, 100), min_size=1, max_size=20)
words = st.lists(st.sampled_from(["air", "blue", "sky", "light", "."]), max_size=30).map(" ".join)


def raises(message):
    return pytest.raises(InputError, match=message)


@given(numbers, st.floats(0.01, 100))
def test_without_options_a_reward_is_the_score_in_units_of_the_temperature(scores, temperature):
    answers = [f"answer {i}" for i in range(len(scores))]
    plain = shape(np.array(scores), answers, answers, RewardConfig(), unit=temperature)
    np.testing.assert_allclose(plain.rewards * temperature, scores, atol=1e-9)
    own = shape(np.array(scores), answers, answers, RewardConfig(temperature=temperature), unit=1.0)
    np.testing.assert_array_equal(own.rewards, plain.rewards)


@given(numbers, st.data())
def test_centring_keeps_the_gaps_in_a_group_and_leaves_it_without_a_mean(rewards, data):
    groups = data.draw(st.lists(st.sampled_from("abc"), min_size=len(rewards), max_size=len(rewards)))
    result = centred(np.array(rewards), groups)
    for group in set(groups):
        members = [i for i, g in enumerate(groups) if g == group]
        assert result[members].mean() == pytest.approx(0, abs=1e-9)
        np.testing.assert_allclose(np.diff(result[members]), np.diff(np.array(rewards)[members]), atol=1e-9)


@given(numbers, st.floats(-10, 0), st.floats(0.1, 10))
def test_clipping_bounds_and_keeps_the_order(rewards, low, high):
    result = clipped(np.array(rewards), (low, high))
    assert low <= result.min()
    assert result.max() <= high
    assert (np.diff(result[np.argsort(rewards)]) >= 0).all()


@given(words, st.integers(1, 5))
def test_repeats_are_a_share_that_writing_a_text_twice_does_not_lower(text, n):
    assert 0 <= repeats(text, n) < 1
    assert repeats(f"{text} {text}", n) >= repeats(text, n) - 1e-12


def test_repeats_by_hand():
    assert repeats("", 1) == 0
    assert repeats("a b c d", 4) == 0
    assert repeats("air AIR air air", 1) == 0.75
    assert repeats("!!!!", 2) == pytest.approx(2 / 3)
    assert repeats("我我我我", 1) == 0.75  # no spaces between words


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_length_costs_nothing_up_to_the_allowance(length, free):
    assert excess_length(f" {'x' * length}\n", free) == pytest.approx(max(0, length - free) / 1000)


def test_penalties_by_hand():
    config = RewardConfig(
        length_penalty=2, length_free=0, repetition_penalty=3, repetition_ngram=1, repetition_free=0.5
    )
    answers = ["no no no no", "no yes"]
    shaped = shape(np.array([4.0, 4.0]), answers, [QUESTION] * 2, config, unit=2.0)
    np.testing.assert_allclose(shaped.length_penalty, [2 * 0.011, 2 * 0.006])
    np.testing.assert_allclose(shaped.repetition_penalty, [3 * (0.75 - 0.5) / 0.5, 0])
    np.testing.assert_allclose(shaped.rewards, 2 - shaped.length_penalty - shaped.repetition_penalty)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0}, "temperature is 0; allowed: above 0"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"length_penalty": -1}, "length_penalty is -1; allowed: 0 or more"),
        ({"repetition_penalty": True}, "repetition_penalty is True"),
        ({"repetition_ngram": 0}, "repetition_ngram is 0"),
        ({"repetition_ngram": 2.0}, r"repetition_ngram is 2\.0"),
        ({"repetition_free": 1}, "repetition_free is 1; allowed: 0 to below 1"),
        ({"centre": 1}, "centre is 1; allowed: true or false"),
        ({"clip": (1, 1)}, r"clip is \(1, 1\); allowed: two numbers, the lower first"),
        ({"clip": (1,)}, "clip is"),
        ({"empty": "none"}, "empty is 'none'"),
    ],
)
def test_an_option_that_is_not_allowed_is_named(options, message):
    with raises(message):
        RewardConfig(**options)


@pytest.mark.parametrize("reward", [TRLReward, AsyncTRLReward, OpenRLHFReward])
def test_options_of_another_kind_are_refused_before_the_first_batch(model, reward):
    with raises(r"config is {'clip': \(0, 1\)}; allowed: a RewardConfig or none"):
        reward(model, {"clip": (0, 1)})


def test_score_samples(model):
    rewards = score_samples(model, [(QUESTION, a) for a in ANSWERS], RewardConfig())
    scored = model.score_batch([QUESTION] * 3, ANSWERS)
    np.testing.assert_allclose(rewards.values, scored.scores / model.bundle.temperature, rtol=1e-5)
    means = rewards.means()
    parts = [means[name] for name in model.bundle.contributions]
    np.testing.assert_allclose(parts, scored.contributions.mean(axis=0), rtol=1e-5)
    assert sum(parts) == pytest.approx(means["raw_score"], abs=1e-4)
    assert (means["empty"], means["failed"], means["cut"]) == (0, 0, 0)


def test_centring_and_clipping_of_a_call(model):
    samples = [
        ("Why?", ANSWERS[0]),
        (QUESTION, ANSWERS[0]),
        ("Why?", ANSWERS[1]),
        (QUESTION, ANSWERS[1]),
        ("Why?", " "),
    ]
    values = score_samples(model, samples, RewardConfig(centre=True)).values
    assert values[4] == -5
    assert values[0] + values[2] == pytest.approx(0)
    assert values[1] + values[3] == pytest.approx(0)
    assert values[0] != 0
    assert min(score_samples(model, samples, RewardConfig(clip=(-0.1, 0.1))).values) == -0.1  # the floor too
    with raises("centre is true, and the call has one answer to 'Why\\?'"):
        score_samples(model, samples[:2], RewardConfig(centre=True))


def test_no_samples(model):
    rewards = score_samples(model, [], RewardConfig())
    assert rewards.values == []
    assert rewards.numbers() == []
    assert rewards.means() == {"empty": 0, "failed": 0}


def test_questions_and_answers_of_trainers():
    dialogue = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
        CALL,
        {"role": "tool", "content": "A cat."},
    ]
    assert question_of(dialogue, "p") == (
        Message("system", "Be brief."), Message("user", "What is it?"), Message("tool", "A cat.")
    )  # fmt: skip
    assert question_of("Why?", "p") == "Why?"
    assert answer_of("Because.", "c") == "Because."
    assert (
        answer_of([CALL, {"role": "tool", "content": "x"}, {"role": "assistant", "content": "A cat."}], "c") == "A cat."
    )
    for without_text in (
        [CALL],
        [CALL, {"role": "tool", "content": "x"}],
        [],
        "",
        [{"role": "assistant", "content": None}],
    ):
        assert answer_of(without_text, "c") == ""


NO_ROLE, NO_SUCH_ROLE, NO_TEXT = {"content": "x"}, {"role": "king", "content": "x"}, {"role": "user", "content": 3}


@pytest.mark.parametrize("prompt", ["", " ", [], None, 3, [CALL], [NO_ROLE], [NO_SUCH_ROLE], [NO_TEXT], b"Why?"])
def test_a_prompt_that_is_none_is_an_error(prompt):
    with pytest.raises(InputError):
        question_of(prompt, "prompts[0]")


@pytest.mark.parametrize(
    "completion", [None, 3, [None], [{"content": "x"}], [{"role": "assistant", "content": {}}], b"x"]
)
def test_a_completion_that_is_none_is_an_error(completion):
    with raises(r"completions\[0\]"):
        answer_of(completion, "completions[0]")


SYSTEM, USER, OLDER = "Be brief.", "Why\nis it?", "It is."
LLAMA = "<|start_header_id|>{}<|end_header_id|>\n\n"
CHATS = {
    "chatml": ("<|im_start|>{}\n{}<|im_end|>\n", "<|im_start|>assistant\n", "<|im_end|>\n<|endoftext|><|endoftext|>"),
    "llama3": (LLAMA + "{}<|eot_id|>", LLAMA.format("assistant"), "<|eot_id|>"),
    "phi": ("<|{}|>\n{}<|end|>\n", "<|assistant|>\n", "<|end|><|endoftext|>"),
    "zephyr": ("<|{}|>\n{}</s>\n", "<|assistant|>\n", "</s>"),
}


@pytest.mark.parametrize("chat", CHATS)
@pytest.mark.parametrize("before", ["", "<|begin_of_text|>", "<s> "])
def test_chat_markup_is_taken_apart(chat, before):
    turn, opening, end = CHATS[chat]
    dialogue = [("system", SYSTEM), ("user", USER), ("assistant", OLDER), ("user", "And now?")]
    prompt = "".join(turn.format(role, text) for role, text in dialogue) + opening
    assert question_in(prompt) == tuple(Message(role, text) for role, text in dialogue)
    assert answer_after(prompt, f"{before}{prompt}The **answer** <b>.{end}", "query") == "The **answer** <b>."
    assert answer_after(prompt, f"{before}{prompt}{end}", "query").strip() == ""
    if not before:  # a prompt that was cut at its beginning
        assert answer_after(prompt, f"{prompt[20:]}Because.{end}", "query") == "Because."


def test_other_markup():
    assert question_in("<bos><start_of_turn>user\nWhy?<end_of_turn>\n<start_of_turn>model\n") == (
        Message("user", "Why?"),
    )
    assert question_in("<s>[INST] Why? [/INST] So.</s>[INST] And? [/INST]") == (
        Message("user", "Why?"), Message("assistant", "So."), Message("user", "And?")
    )  # fmt: skip
    assert question_in("<｜begin▁of▁sentence｜>Be brief.<｜User｜>Why?<｜Assistant｜><think>\n") == (
        Message("system", "Be brief."), Message("user", "Why?")
    )  # fmt: skip
    assert question_in("<s>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST]Why?[/INST]") == (
        Message("system", "Be brief."), Message("user", "Why?")
    )  # fmt: skip
    assert question_in("Q: Why?\nA:") == "Q: Why?\nA:"
    with raises("query is 'Another.*allowed: text that begins with its prompt, 'Why"):
        answer_after("Why is it so?", "Another text.", "query")


MENTIONED = [
    "[INST]",
    "<|im_start|>user\nand",
    "<|user|>",
    "<start_of_turn>model\n",
    "<｜User｜>",
    LLAMA.format("user"),
]


@pytest.mark.parametrize("mark", MENTIONED)
def test_markup_that_a_question_is_about_stays(mark):
    text = f"What does {mark} mean?"
    assert question_in(text) == question_in(f"<s>{text}") == text
    turn, opening, _ = CHATS["llama3" if "im_start" in mark else "chatml"]
    assert question_in(turn.format("user", text) + opening) == (Message("user", text),)


@settings(max_examples=50)
@given(st.text(max_size=60), st.text(alphabet="abc <|>.\n", max_size=30))
def test_the_answer_is_what_follows_the_prompt(prompt, answer):
    answer = f"{answer}."  # an end that is no special token
    assert answer_after(prompt, prompt + answer, "query") == bare(answer)


def call_in_child(reward, queue):
    queue.put((reward.__name__, reward([QUESTION] * 3, ANSWERS)))


def test_another_process_loads_the_model_again(tiny_bundle):
    reward = TRLReward(tiny_bundle, RewardConfig(clip=(-0.2, 0.2)), threads=1, name="mine")
    assert len(pickle.dumps(reward)) < 2000
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=call_in_child, args=(reward, queue))
    child.start()
    assert queue.get(timeout=60) == ("mine", pytest.approx(reward([QUESTION] * 3, ANSWERS), abs=1e-5))
    child.join(60)
    assert child.exitcode == 0


def test_pickling_keeps_the_precision(tiny_bundle):
    exact = prefmodel.PreferenceModel.from_pretrained(tiny_bundle, precision="float32", threads=1)
    again = pickle.loads(pickle.dumps(SharedModel(exact)))
    assert again.model.bundle.precision == "float32"
    assert again.model.score(QUESTION, ANSWERS[0]) == exact.score(QUESTION, ANSWERS[0])


def test_threads_share_one_model(tiny_bundle):
    shared = pickle.loads(pickle.dumps(SharedModel(tiny_bundle, threads=1)))
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(lambda _: shared.model, range(32)))
    assert len({id(model) for model in models}) == 1


def test_a_wrong_model_is_an_error_at_once(tmp_path, model):
    with pytest.raises(BundleError):
        SharedModel(tmp_path / "none")
    with raises("model is 3; allowed: a folder"):
        SharedModel(3)
    with raises("threads is 2; allowed: none for a model that is loaded"):
        SharedModel(model, threads=2)


def test_all_names_are_there():
    for name in prefmodel.rewards.__all__:
        assert getattr(prefmodel.rewards, name).__name__ == name
        assert name in dir(prefmodel.rewards)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = prefmodel.rewards.nonsense
