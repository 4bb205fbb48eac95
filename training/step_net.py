"""The network as the engine trains it: all forward passes of a chunk of pairs in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from training.model import PreferenceNet
from training.objectives.masked_lm import MaskedLM

Inputs = dict[str, Tensor]
"""A padded batch, int64 [batch, tokens] each: `input_ids`, `attention_mask`, `token_type_ids`, maybe `masked_ids` and
`targets`."""


class StepNet(nn.Module):
    """What is wrapped for several devices.

    Gradients are exchanged once a call and not once a batch, and every process makes the same number of passes, as
    sharded training wants it.

    Args:
        net: the preference model.
        masked_lm: predicts masked words on the same encoder, or None.
    """

    def __init__(self, net: PreferenceNet, masked_lm: MaskedLM | None = None):
        super().__init__()
        self.net = net
        self.masked_lm = masked_lm
        # Which layers are sharded one by one, as transformers names them.
        self._no_split_modules = getattr(net.classifier, "_no_split_modules", None)

    @property
    def config(self) -> Any:
        """The transformers configuration."""
        return self.net.config

    def forward(self, batches: Sequence[Inputs]) -> tuple[Tensor, Tensor]:
        """Return the contributions of all rows, float [rows, 6], and the loss on masked words, a scalar, 0 without."""
        parts, words = [], []
        for batch in batches:
            texts = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
            parts.append(self.net(**texts).float())
            if self.masked_lm is not None and "masked_ids" in batch:
                words.append(self.masked_lm(batch["masked_ids"], batch["attention_mask"], batch["targets"]))
        found = torch.cat(parts)
        return found, torch.stack(words).mean() if words else found.new_zeros(())


class Scores(nn.Module):
    """Contributions of one batch by a wrapped `StepNet`, for looking at it while it is trained.

    Args:
        step_net: a `StepNet`, however it is wrapped.
    """

    def __init__(self, step_net: nn.Module):
        super().__init__()
        self.step_net = step_net
        self.training = step_net.training

    def forward(self, **inputs: Tensor) -> Tensor:
        """Return the contributions, float [batch, 6]; inputs are int64 [batch, tokens]."""
        found: Tensor = self.step_net([inputs])[0]
        return found
