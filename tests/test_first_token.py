"""The last layer at the first token alone: the same logits and gradients in every family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from benchmarks.families import random_batch
from benchmarks.family_bases import FAMILIES, write_base
from training.first_token import only_first_token
from training.model import PreferenceNet

CHANGED = {"minilm-l12", "mpnet-base", "deberta-v3-base"}


def found(net: PreferenceNet) -> dict[str, torch.Tensor]:
    """Return the contributions of a padded batch, and the gradient of each weight."""
    batch = random_batch(net, 3, 20)
    batch["attention_mask"][1, 13:] = 0
    net.zero_grad()
    out = net(**batch)
    (out * torch.arange(out.numel()).view_as(out)).mean().backward()
    gradients = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    return {"out": out.detach(), **gradients}


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_gradients_stay(name: str, tmp_path: Path) -> None:
    net = PreferenceNet.from_base(write_base(tmp_path, name, ["one two three four five six"], small=True)).eval()
    with torch.no_grad():
        net.heads.weight.normal_(0, 0.5, generator=torch.Generator().manual_seed(0))
    before = found(net)
    assert bool(only_first_token(net.classifier)) == (name in CHANGED)
    after = found(net)
    assert before.keys() == after.keys()
    for key in before:
        torch.testing.assert_close(after[key], before[key], rtol=1e-3, atol=1e-4)


def test_what_reads_other_tokens_is_left_alone() -> None:
    config = BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=1
    )

    class Mean(torch.nn.Module):
        def forward(self, hidden: torch.Tensor) -> torch.Tensor:
            return hidden.mean(1)

    torch.manual_seed(0)
    net = BertForSequenceClassification(config)
    net.bert.pooler = Mean()
    before = net.train().bert(torch.arange(14).view(2, 7)).last_hidden_state.shape
    assert not only_first_token(net)
    assert net.training
    assert net.bert(torch.arange(14).view(2, 7)).last_hidden_state.shape == before


def test_heads_that_see_nothing_prove_nothing() -> None:
    config = BertConfig(vocab_size=30, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, num_labels=1)
    net = BertForSequenceClassification(config)
    torch.nn.init.zeros_(net.classifier.weight)
    assert not only_first_token(net)
