"""examples/local_llm_server.py with a small model of random weights: it batches, keeps to seeds, and tells errors."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from axioms.llm.cache import Sampling
from axioms.llm.client import LLM, LLMOptions
from axioms.llm.failures import Unanswered
from prefmodel.errors import InputError
from tests.small_base import word_tokenizer

SERVER = Path(__file__).parents[1] / "examples" / "local_llm_server.py"
WORDS = "user assistant why is the sky blue because air scatters light one two three four five six"
TEMPLATE = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}assistant"


def write_model(folder: Path) -> None:
    """Write a Llama of one layer whose next word depends on the words before it, and its tokenizer."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer([WORDS]), pad_token="[PAD]", unk_token="[UNK]", eos_token="[SEP]"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=128,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    folder = tmp_path_factory.mktemp("model")
    write_model(folder)
    command = [sys.executable, str(SERVER), str(folder), "--port", "0", "--threads", "1", "--batch", "4"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        assert process.stdout is not None
        match = re.search(r"http://\S+", process.stdout.readline())
        assert match
        yield match[0], process
    finally:
        process.kill()
        process.communicate()


def answers(url: str, cache: Path, texts: list[str], sampling: Sampling, at_once: int) -> list[str]:
    with LLM(LLMOptions(url, "local", cache, concurrency=at_once, retries=0)) as llm:
        replies = list(llm.map(lambda t: llm.ask([{"role": "user", "content": t}], sampling), texts))
    for text, reply in zip(texts, replies, strict=True):
        assert reply.prompt_tokens == len(text.split()) + 2
        assert len(reply.text.split()) <= reply.completion_tokens <= sampling.max_tokens  # special ones show no text
        assert reply.finish == ("length" if reply.completion_tokens == sampling.max_tokens else "stop")
    return [reply.text for reply in replies]


def test_answers_of_a_batch_are_those_of_each_alone(served, tmp_path):
    url, process = served
    texts = [" ".join(WORDS.split()[i : i + 2 + 3 * (i % 3)]) for i in range(8)]  # of several lengths
    likeliest = Sampling(temperature=0.0, max_tokens=6)
    alone = answers(url, tmp_path / "a", texts, likeliest, at_once=1)
    together = answers(url, tmp_path / "b", texts, likeliest, at_once=8)
    assert len(set(alone)) > 4
    assert sum(a == b for a, b in zip(alone, together, strict=True)) >= 7  # a tie may fall either way
    batches = [int(process.stdout.readline().split()[0]) for _ in range(8)]
    assert batches == [1] * 8
    while sum(batches) < 16:
        batches.append(int(process.stdout.readline().split()[0]))
    assert max(batches[8:]) > 1


def test_prompts_that_begin_alike_are_answered_as_alone(served, tmp_path):
    url, _ = served
    texts = [f"why is the sky blue because {WORDS[: 9 * i]}" for i in range(1, 6)] + ["light", "air one"]
    likeliest = Sampling(temperature=0.0, max_tokens=6)
    alone = answers(url, tmp_path / "a", texts, likeliest, at_once=1)
    together = answers(url, tmp_path / "b", texts, likeliest, at_once=7)
    assert sum(a == b for a, b in zip(alone, together, strict=True)) >= 6


def test_bfloat16_only_where_it_is_fast(monkeypatch):
    number = runpy.run_path(str(SERVER))["number"]
    for able in ({}, {"avx512_bf16": False}, {"avx512_bf16": True}, {"amx_bf16": True}):
        fast = any(able.values())
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able, raising=False)
        assert number("cpu") == (torch.bfloat16 if fast else torch.float32)
        assert number("cuda") == torch.bfloat16


def test_seeds(served, tmp_path):
    url, _ = served
    texts = ["why is the sky blue"]
    drawn = [
        answers(url, tmp_path / str(i), texts, Sampling(temperature=1.5, top_p=1.0, max_tokens=12, seed=i // 2), 1)
        for i in range(6)
    ]
    assert drawn[::2] == drawn[1::2]
    assert len({text for [text] in drawn}) > 1


def test_what_is_not_served(served, tmp_path):
    url, _ = served
    for changed, message in [
        ({"model": "other"}, "--llm-model is 'other': the model 'other' is not served; there is 'local'"),
        ({"url": url + "/x"}, "--llm-url is"),
    ]:
        options = LLMOptions(**{"url": url, "model": "local", "cache": tmp_path / "c", "retries": 0, **changed})
        with LLM(options) as llm, pytest.raises(InputError, match=re.escape(message)):
            llm.ask([{"role": "user", "content": "why"}], Sampling(max_tokens=5))


def test_a_prompt_that_is_too_long(served, tmp_path):
    with (
        LLM(LLMOptions(served[0], "local", tmp_path / "c", retries=0)) as llm,
        pytest.raises(Unanswered, match="context length exceeded"),
    ):
        llm.ask([{"role": "user", "content": "why " * 100}], Sampling(max_tokens=60))
