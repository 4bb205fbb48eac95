"""An encoder that is read at its first token alone need not finish its last layer for the others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from training.backbones import layer_stacks, logits

FEED_FORWARD = ("intermediate", "output")
"""The parts of a layer that come after its attention, as BERT and its kin name them."""


def only_first_token(classifier: Any) -> int:
    """Let the last layer of a classifier go on from attention at the first token only, where that changes nothing.

    All tokens are attended to as before, so the logits stay the same; of six layers one ninth of the products with
    weights is saved, forward and backward. Whether the logits stay the same is computed, not guessed from a name: a
    decoder, a mean over tokens and layers of another shape are left as they are.

    Args:
        classifier: a transformers model for sequence classification; its last hidden state then has one token.

    Returns:
        How many weights only first tokens pass from now on; 0 where all is left as it was.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_labels=1)
    >>> net = BertForSequenceClassification(config)
    >>> only_first_token(net), net.bert(torch.ones(2, 5, dtype=torch.long)).last_hidden_state.shape
    (52248, torch.Size([2, 1, 8]))
    """
    layer = _last_layer(classifier)
    if layer is None:
        return 0
    before = _try(classifier)
    hook = layer.get_submodule("attention").register_forward_hook(_first)
    try:
        after = _try(classifier)
    except (RuntimeError, IndexError, ValueError):  # what lies behind the layer wants all tokens
        after = None
    blind = torch.equal(before[0], before[1])  # heads of zeros would hide a difference
    if blind or after is None or not torch.allclose(before, after, rtol=1e-4, atol=1e-5):
        hook.remove()
        return 0
    return sum(p.numel() for name in FEED_FORWARD for p in layer.get_submodule(name).parameters())


def _last_layer(classifier: Any) -> nn.Module | None:
    """Return the last layer if it is attention followed by `FEED_FORWARD`."""
    stacks = layer_stacks(classifier)
    if len(stacks) != 1:
        return None
    last: nn.Module = classifier.get_submodule(stacks[0])[-1]
    return last if {"attention", *FEED_FORWARD} <= dict(last.named_children()).keys() else None


def _try(classifier: Any) -> Tensor:
    """Return the logits of two short inputs, one of them padded, float [2, labels]."""
    ids = torch.arange(16).view(2, 8) % classifier.config.vocab_size
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    training = classifier.training
    classifier.eval()
    try:
        with torch.no_grad():
            return logits(classifier, {"input_ids": ids, "attention_mask": mask})
    finally:
        classifier.train(training)


def _first(module: nn.Module, arguments: tuple[Any, ...], output: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return output[0][:, :1], *output[1:]
