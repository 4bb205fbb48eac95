"""Tokenizers of a stranger who means harm: refused before the tokenizers library reads them, or in one line after."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prefmodel.errors import BundleError
from prefmodel.model import PreferenceModel
from tests.hostile import with_file
from tests.tiny import tiny_tokenizer, unigram_tokenizer

# The tokenizer


def with_tokenizer(folder: Path, change: Callable[[dict[str, Any]], object], tokenizer: Any = None) -> Path:
    content = json.loads((tokenizer or tiny_tokenizer()).to_str())
    change(content)
    return with_file(folder, "tokenizer.json", json.dumps(content).encode())


def replace(content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": "a"}, "content": content}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["model"]["vocab"].pop("[UNK]"), "unk_token is '[UNK]'; allowed: a token of the vocabulary"),
        (lambda t: t["model"].update(max_input_chars_per_word=10**9), "max_input_chars_per_word is 1000000000"),
        (lambda t: t["model"].update(unk_token=["[UNK]"]), "unk_token is ['[UNK]']"),
        (lambda t: t["model"].update(continuing_subword_prefix="#" * 10**6), "continuing_subword_prefix"),
        (lambda t: t["model"].update(type="Evil"), "model type is 'Evil'"),
        (lambda t: t.update(model=None), "model is None"),
        (lambda t: t.update(normalizer={"type": "Evil"}), "normalizer type is 'Evil'"),
        (lambda t: t.update(normalizer={}), "normalizer type is None"),
        (
            lambda t: t.update(normalizer={"type": "Sequence", "normalizers": [replace("aa")] * 64}),
            "allowed: no text 1024 times",
        ),
        (lambda t: t.update(normalizer=replace("a" * 10**5)), "up to 16384 characters"),
        (
            lambda t: t.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA" * 2 + "YWFh" * 1000}),
            "no",
        ),
        (lambda t: t.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "!"}), "tokenizer.json: "),
        (lambda t: t["post_processor"]["special_tokens"].clear(), "or a token of special_tokens"),
        (lambda t: t["post_processor"].update(pair=[{"SpecialToken": {"id": "[EVIL]", "type_id": 0}}]), "[EVIL]"),
        (lambda t: t.update(normalizer={"type": "Precompiled"}), "precompiled_charsmap is None"),
        (lambda t: t["model"]["vocab"].update(sky=(1 << 31) - 1), "model vocab is"),
        (lambda t: t.update(added_tokens=[{"content": "a" * 1000}]), "an added token"),
        (lambda t: t.update(added_tokens=[{"content": "a"}] * 20_000), "added_tokens"),
        (lambda t: t.update(truncation={"max_length": -1}), "tokenizer.json: "),
    ],
)
def test_tokenizer(copied_bundle, refused, change, message):
    refused(with_tokenizer(copied_bundle, change), "tokenizer.json: ", message)


@pytest.mark.parametrize("kind", ["pre_tokenizer", "normalizer", "decoder"])
@pytest.mark.parametrize("pattern", [r"(a+)+$", r"((((a{1000}){1000}){1000}){1000})", "(", r"\p{L}+"])
def test_regular_expression(copied_bundle, refused, kind, pattern):
    part = {"type": "Replace", "pattern": {"Regex": pattern}, "content": ""}
    if kind == "pre_tokenizer":
        part = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    refused(with_tokenizer(copied_bundle, lambda t: t.update({kind: part})), f"{kind} pattern is")


def test_unigram_without_unknown_token(copied_bundle, refused):
    folder = with_tokenizer(copied_bundle, lambda t: t["model"].update(unk_id=None), unigram_tokenizer())
    refused(folder, "unk_id is None")


def test_panic_while_encoding(copied_bundle):
    """A table of replacements (a double array) where only the entry of "Q" leads outside, which opening cannot see."""
    units = [0] * 256
    units[ord("Q")] = 1000 << 10 | 1 << 8 | ord("Q")  # offset, "a replacement ends here", label
    table = (1024).to_bytes(4, "little") + b"".join(unit.to_bytes(4, "little") for unit in units) + b"q\0"
    part = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(table).decode()}
    folder = with_tokenizer(copied_bundle, lambda t: t.update(normalizer=part))
    model = PreferenceModel.from_pretrained(folder, threads=1)
    assert isinstance(model.score("why?", "because."), float)
    with pytest.raises(BundleError, match=r"tokenizer\.json: index out of bounds"):
        model.score("why?", "Q")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 10**6, b'{"model": {}, "model": {}}'])
def test_tokenizer_is_no_object(copied_bundle, refused, content):
    refused(with_file(copied_bundle, "tokenizer.json", content), "tokenizer.json: ")
