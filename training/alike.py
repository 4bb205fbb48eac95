"""Words that a model shall not tell apart, such as he and she: they get one embedding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from tokenizers import Tokenizer

from prefmodel.errors import InputError
from training.model import PreferenceNet

FORMS = ("{}", " {}")
"""A word at the beginning of a text and inside it; many tokenizers tell these apart, and those with a capital too."""


def read_alike(net: PreferenceNet, tokenizer: Tokenizer, groups: Sequence[str]) -> None:
    """Give the words of each group the mean of their embeddings, so that swapping them changes no score at all.

    It holds for as long as the embeddings are not trained. Source: the neutralising of embeddings of arXiv 1607.06520,
    in its simplest form.

    Args:
        net: changed in place.
        tokenizer: of the net.
        groups: words of a group, with spaces between them, such as "he she".

    Raises:
        InputError: a group has fewer than two words, words of another group, or such as this tokenizer takes apart.

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
    tokenizer = Tokenizer.from_str(tokenizer.to_str())  # not the caller's
    tokenizer.no_padding()
    tokenizer.no_truncation()
    weight = net.classifier.get_input_embeddings().weight
    seen: set[str] = set()
    for group in groups:
        words = group.split()
        if twice := seen & set(words):  # a second mean would part it from the first group
            raise InputError(f"train.alike holds {min(twice)!r} in two groups; allowed: one")
        seen.update(words)
        if len(words) < 2:
            raise InputError(f"train.alike holds {group!r}; allowed: two words or more, with spaces between them")
        rows = [*_rows(tokenizer, words)]
        if not rows:
            raise InputError(f"train.alike holds {group!r}; allowed: words that the base's tokenizer leaves whole")
        with torch.no_grad():
            for row in rows:
                weight[row] = weight[row].mean(0)


def _rows(tokenizer: Tokenizer, words: Sequence[str]) -> Iterator[list[int]]:
    """Yield the tokens of the words in each form in which each of them is a token of its own."""
    for form in FORMS:
        for written in (words, [word.capitalize() for word in words]):
            found = [tokenizer.encode(form.format(word), add_special_tokens=False) for word in written]
            # An unknown word is one token, too, but of another name.
            known = (one.tokens[0].lower().endswith(word.lower()) for one, word in zip(found, words, strict=True))
            if all(len(one) == 1 for one in found) and all(known):
                yield [one.ids[0] for one in found]
