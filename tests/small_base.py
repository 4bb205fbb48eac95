"""A small pretrained base: a BERT classifier of seeded random weights, with the words of some texts as vocabulary."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "…"]


def write_base(folder: Path, texts: Iterable[str], seed: int = 0) -> Path:
    """Write `config.json`, `model.safetensors` and `tokenizer.json` to `folder` and return it."""
    tokenizer = word_tokenizer(texts)
    small_bert(tokenizer.get_vocab_size(), seed).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def small_bert(vocabulary: int, seed: int = 0) -> BertForSequenceClassification:
    """Return a classifier of two layers, 32 wide, with dropout, whose weights are large enough to tell words apart."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
        num_labels=1,
    )
    return BertForSequenceClassification(config)


def word_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Return a lower-casing tokenizer that knows the words of the texts, with the template of BERT."""
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())} - {*SPECIAL})
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(SPECIAL[:4])
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer
