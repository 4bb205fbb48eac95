"""Words that a model shall not tell apart: swapped, they change no score, after training as before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from prefmodel.encoding import EncodingConfig, PairEncoder
from prefmodel.errors import InputError
from tests.small_base import small_bert, word_tokenizer
from tests.small_run import SmallRun, small_run
from training.alike import read_alike, told_apart
from training.config import TrainConfig
from training.model import PreferenceNet, load_tokenizer


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return small_run(tmp_path_factory.mktemp("small"))


def scores(folder: Path, *answers: str) -> list[float]:
    net = PreferenceNet.from_checkpoint(folder).eval()
    encoder = PairEncoder(load_tokenizer(folder), EncodingConfig(max_tokens=32, question_tokens=12))
    batch = encoder.pad(encoder.encode_batch(["word1 word2?"] * len(answers), answers))
    with torch.no_grad():
        found: list[float] = net(**{name: torch.from_numpy(value) for name, value in batch.items()}).sum(1).tolist()
    return found


def test_a_trained_model_does_not_tell_them_apart(small: SmallRun, tmp_path: Path) -> None:
    run = small.variant("alike", epochs=1, alike=["clear exact", "rude wrong"])
    assert run.train(tmp_path / "run").exit_code == 0
    words = ("clear", "exact", "rude", "careful")
    clear, exact, rude, careful = scores(tmp_path / "run", *(f"word5 {word}." for word in words))
    assert clear == exact
    assert len({clear, rude, careful}) == 3


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        ("clear", "two words or more"),
        ("clear unheard-of", "words that the base's tokenizer leaves whole"),
        ("clear nosuchword", "words that the base's tokenizer leaves whole"),
    ],
)
def test_what_cannot_be_alike(small: SmallRun, tmp_path: Path, words: str, allowed: str) -> None:
    done = small.variant("bad", alike=[words]).train(tmp_path / "run")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: train.alike holds '{words}'; allowed: {allowed}")


def test_a_word_in_two_groups_is_refused(small: SmallRun, tmp_path: Path) -> None:
    done = small.variant("two", alike=["clear exact", "rude clear"]).train(tmp_path / "run")
    assert done.stderr.endswith("error: train.alike holds 'clear' in two groups; allowed: one\n")


def test_embeddings_that_are_trained_would_part_again() -> None:
    with pytest.raises(InputError, match=r"train\.freeze_embeddings is false with train\.alike"):
        TrainConfig(alike=("he she",), freeze_embeddings=False)


def test_every_form_of_a_word_that_a_tokenizer_knows() -> None:
    """Byte-level tokenizers have a word inside a text, at its beginning and with a capital as four tokens."""
    written = ["he", "she", "Ġhe", "Ġshe", "He", "She", "ĠHe", "it", "h", "e", "s", "Ġ", "H", "S"]
    merges = [("h", "e"), ("s", "he"), ("Ġ", "he"), ("Ġ", "she"), ("H", "e"), ("S", "he"), ("Ġ", "He")]
    model = models.BPE({token: i for i, token in enumerate([*written, "Ġs", "Sh"])}, merges)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    net = PreferenceNet(small_bert(len(written) + 2))
    read_alike(net, tokenizer, ["he she"])
    assert told_apart(tokenizer, ["he she"]) == ["She"]
    weight = net.classifier.get_input_embeddings().weight
    of = {token: weight[i] for i, token in enumerate(written)}
    for one, other in (("he", "she"), ("Ġhe", "Ġshe"), ("He", "She")):
        assert torch.equal(of[one], of[other])
    assert not torch.equal(of["ĠHe"], of["He"])  # "ĠShe" is none of its tokens, so nothing is like it


def test_words_become_alike_in_a_form_that_not_all_have() -> None:
    words = {word: i for i, word in enumerate(["?", "him", "his", "her", "Her", "Him", "HIS", "…"])}
    tokenizer = Tokenizer(models.WordLevel(words, "?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    net = PreferenceNet(small_bert(len(words)))
    read_alike(net, tokenizer, ["him his her"])
    weight = net.classifier.get_input_embeddings().weight
    same = {(a, b) for a in words for b in words if a < b and torch.equal(weight[words[a]], weight[words[b]])}
    assert same == {("Her", "Him"), ("her", "him"), ("her", "his"), ("him", "his")}
    assert told_apart(tokenizer, ["him his her"]) == ["His"]


def test_a_run_says_which_words_stay_apart(tmp_path: Path) -> None:
    run = small_run(tmp_path)
    path = run.folder / "base" / "tokenizer.json"
    cased = json.loads(path.read_text()) | {"normalizer": None}
    cased["model"]["vocab"]["Clear"] = cased["model"]["vocab"].pop("word59")
    path.write_text(json.dumps(cased))
    done = run.variant("alike", alike=["clear exact"]).train(tmp_path / "run", "--max-steps", 1)
    assert done.exit_code == 0, done.output
    told = [line for line in done.stderr.splitlines() if "alike" in line]
    assert told == ["train.alike: no token of their own, and so told apart still: Exact"]


def test_the_other_words_stay_as_they_were() -> None:
    tokenizer = word_tokenizer(["he she it they"])
    tokenizer.enable_padding(length=8)  # as that of the default model's start has it
    net = PreferenceNet(small_bert(tokenizer.get_vocab_size()))
    weight = net.classifier.get_input_embeddings().weight
    before = weight.detach().clone()
    read_alike(net, tokenizer, ["he she"])
    changed = {i for i in range(len(before)) if not torch.equal(before[i], weight[i])}
    assert tokenizer.padding is not None
    assert changed == {tokenizer.token_to_id("he"), tokenizer.token_to_id("she")}
