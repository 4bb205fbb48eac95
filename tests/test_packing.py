"""Training without padding: the same gradients, the same names of weights, the same saved model."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification, MPNetConfig, MPNetForSequenceClassification

from training.model import PreferenceNet
from training.packing import pack, try_packing

LENGTHS = (19, 12, 7, 3)


def small_net() -> PreferenceNet:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    net = PreferenceNet(BertForSequenceClassification(BertConfig(vocab_size=99, num_labels=1, **shape)))
    torch.nn.init.normal_(net.heads.weight)
    return net.eval()  # dropout would differ


def batch() -> dict[str, Tensor]:
    mask = (torch.arange(max(LENGTHS))[None] < torch.tensor(LENGTHS)[:, None]).long()
    ids = torch.randint(1, 99, mask.shape, generator=torch.Generator().manual_seed(1)) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": (torch.arange(max(LENGTHS)) > 4) * mask}


def gradients(net: PreferenceNet) -> dict[str, Tensor]:
    net.zero_grad()
    (net(**batch()).sum(1) * torch.tensor([1.0, -2.0, 3.0, -4.0])).sum().backward()
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def test_packed_rows_give_the_gradients_of_padded_ones() -> None:
    net = small_net()
    expected, names = gradients(net), list(net.state_dict())
    unpack = pack(net.classifier)
    got = gradients(net)
    assert got.keys() == expected.keys()
    assert list(net.state_dict()) == names
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=1e-5, rtol=1e-4)
    assert max(gradient.abs().max().item() for gradient in expected.values()) > 0.1
    unpack()
    torch.testing.assert_close(gradients(net), expected)


def test_a_packed_net_is_saved_as_an_ordinary_one(tmp_path) -> None:
    net = small_net()
    expected = net(**batch())
    pack(net.classifier)
    net.save(tmp_path)
    assert "packed" not in (tmp_path / "config.json").read_text()
    torch.testing.assert_close(PreferenceNet.from_checkpoint(tmp_path).eval()(**batch()), expected)


def test_what_cannot_be_packed_is_left_as_it_was() -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    net = PreferenceNet(MPNetForSequenceClassification(MPNetConfig(vocab_size=99, num_labels=1, **shape))).eval()
    expected = net(**batch())
    reason = try_packing(net.classifier, lambda inputs: net(**inputs).detach())
    assert "attention" in reason or "layers" in reason
    torch.testing.assert_close(net(**batch()), expected)


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU: the CPU computes padded rows, which is faster there"
)
def test_an_engine_on_a_gpu_packs() -> None:
    from training.config import ObjectiveConfig, TrainConfig
    from training.engine import Engine, accelerator

    place = accelerator(TrainConfig())
    assert Engine(place, small_net(), None, [], TrainConfig(), ObjectiveConfig()).packed
