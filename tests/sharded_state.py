"""Run in several processes by a test: a sharded net is trained, saved, and loaded into another sharded net."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from tests.small_base import small_bert
from training.model import PreferenceNet
from training.resume import Progress, load_state, save_state, tensors_of
from training.step_net import StepNet


def small_net(shard: bool) -> StepNet:
    net = PreferenceNet(small_bert(20)).eval()  # without dropout
    net.classifier.get_input_embeddings().requires_grad_(False)
    step_net = StepNet(net)
    if shard:
        from torch.distributed.fsdp import fully_shard

        for layer in net.classifier.bert.encoder.layer:
            fully_shard(layer)
        fully_shard(step_net)
    return step_net


def trained_net(updates: int, shard: bool = False) -> tuple[StepNet, AdamW]:
    """Return a net and its optimizer after some updates that are the same in every process."""
    net = small_net(shard)
    # Biases of keys have no gradient but for rounding; a large eps keeps Adam from making whole steps of that.
    optimizer = AdamW([p for p in net.parameters() if p.requires_grad], lr=0.01, eps=1e-3)
    for _ in range(updates):
        scores(net).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return net, optimizer


def scores(net: nn.Module) -> Tensor:
    ids = torch.arange(2 * 7).reshape(2, 7)
    found: Tensor = net([{name: ids if name == "input_ids" else torch.ones_like(ids) for name in NAMES}])[0]
    return found


NAMES = ("input_ids", "attention_mask", "token_type_ids")


def main(run: Path) -> None:
    torch.distributed.init_process_group("gloo")
    net, optimizer = trained_net(updates=2, shard=True)
    assert type(net.net.heads.weight.data).__name__ == "DTensor"
    tensors = tensors_of(net, optimizer, {})
    if torch.distributed.get_rank() == 0:
        save_state(run, tensors, Progress(2))
    torch.distributed.barrier()
    other, its_own = trained_net(updates=0, shard=True)
    before = scores(other)
    load_state(run, other, its_own)
    assert torch.equal(scores(other), scores(net))
    assert not torch.equal(scores(other), before)
    for mine, its in zip(optimizer.state.values(), its_own.state.values(), strict=True):
        assert torch.equal(mine["exp_avg"].full_tensor(), its["exp_avg"].full_tensor())
    torch.distributed.barrier()  # a process whose peer is gone in the midst of its work may be aborted at its end
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)  # threads of torch that are at work when Python takes itself down abort the process now and then
