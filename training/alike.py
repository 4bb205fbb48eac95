"""Words that a model shall not tell apart, such as he and she: they get one embedding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer

from prefmodel.errors import InputError
from training.model import PreferenceNet

BEFORE = ("", "a ")
"""What stands before a word: many tokenizers tell words inside a text from those that begin it."""


def read_alike(net: PreferenceNet, tokenizer: Tokenizer, groups: Sequence[str]) -> None:
    """Give the words of each group the mean of their embeddings, so that swapping them changes no score at all.

    They are taken as they are written and with a capital, at the beginning of a text and inside it. In each of these
    forms words that the tokenizer leaves whole become alike; the others, which `told_apart` returns, stay apart. It
    holds for as long as the embeddings are not trained. Source: the neutralising of embeddings of arXiv 1607.06520, in
    its simplest form.

    Args:
        net: changed in place.
        tokenizer: of the net.
        groups: words of a group, with spaces between them, such as "he she".

    Raises:
        InputError: a group has fewer than two words, words of another group, or no form in which this tokenizer leaves
            them all whole.

    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> tokenizer = Tokenizer(models.WordLevel({"he": 0, "she": 1, "it": 2, "?": 3}, "?"))
    >>> tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> config = BertConfig(vocab_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_labels=1)
    >>> net = PreferenceNet(BertForSequenceClassification(config))
    >>> read_alike(net, tokenizer, ["he she"])
    >>> he, she, it, _ = net.classifier.get_input_embeddings().weight
    >>> torch.equal(he, she), torch.equal(he, it)
    (True, False)
    """
    weight = net.classifier.get_input_embeddings().weight
    seen: set[str] = set()
    for group in groups:
        words = group.split()
        if twice := seen & set(words):  # a second mean would part it from the first group
            raise InputError(f"train.alike holds {min(twice)!r} in two groups; allowed: one")
        seen.update(words)
        if len(words) < 2:
            raise InputError(f"train.alike holds {group!r}; allowed: two words or more, with spaces between them")
        forms = _forms(tokenizer, words)
        if all(None in form.values() for form in forms):
            raise InputError(f"train.alike holds {group!r}; allowed: words that the base's tokenizer leaves whole")
        with torch.no_grad():
            for form in forms:
                rows = [row for row in form.values() if row is not None]
                weight[rows] = weight[rows].mean(0)


def told_apart(tokenizer: Tokenizer, groups: Sequence[str]) -> list[str]:
    """Return the words of groups, as written or with a capital, that are no token, and so stay apart.

    >>> from tokenizers import models, pre_tokenizers
    >>> tokenizer = Tokenizer(models.WordLevel({"his": 0, "her": 1, "Her": 2, "?": 3}, "?"))
    >>> tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> told_apart(tokenizer, ["his her"])
    ['His']
    """
    forms = [form for group in groups for form in _forms(tokenizer, group.split())]
    return list(dict.fromkeys(word for form in forms for word, row in form.items() if row is None))


def _forms(tokenizer: Tokenizer, words: Sequence[str]) -> list[dict[str, int | None]]:
    """Return for each form the words with the rows of their embeddings, None for words that are no token in it."""
    tokenizer = Tokenizer.from_str(tokenizer.to_str())  # not the caller's
    tokenizer.no_padding()
    tokenizer.no_truncation()
    cases = words, [word.capitalize() for word in words]
    return [{word: _row(tokenizer, before, word) for word in case} for before in BEFORE for case in cases]


def _row(tokenizer: Tokenizer, before: str, word: str) -> int | None:
    first, both = (tokenizer.encode(text, add_special_tokens=False) for text in (before.strip(), before + word))
    # An unknown word is one token, too, but of another name.
    known = both.tokens and both.tokens[-1].lower().endswith(word.lower())
    return both.ids[-1] if known and len(both) == len(first) + 1 else None
