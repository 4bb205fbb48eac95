"""The preference model in torch: a pretrained encoder, its family's own pooling, and one linear head per contribution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from prefmodel.errors import BundleError
from prefmodel.types import CONTRIBUTIONS

HEADS = "heads.safetensors"
"""File of a checkpoint that holds the heads one by one; `model.safetensors` holds their sum as an ordinary classifier."""


class PreferenceNet(nn.Module):
    """A sequence classifier whose last linear layer gives one contribution for each principle and `general`.

    The score is the sum of the contributions, so the heads add up to an ordinary classifier with one label: a
    checkpoint loads with `AutoModelForSequenceClassification` and gives the same score.

    Args:
        classifier: a transformers model for sequence classification with one label.
        weight: float32 [contributions, hidden], the heads; by default the classifier's own layer becomes the
            head `relevance`, times `start`, and the other heads start at zero.
        bias: float32 [contributions].
        start: factor on the classifier's own layer.

    Raises:
        BundleError: the classifier does not end in one linear layer with one output.
    """

    def __init__(
        self, classifier: nn.Module, weight: Tensor | None = None, bias: Tensor | None = None, start: float = 1.0
    ):
        super().__init__()
        self.classifier = classifier
        self._last, last = _last_layer(classifier)
        heads = nn.Linear(last.in_features, len(CONTRIBUTIONS))
        with torch.no_grad():
            if weight is None or bias is None:
                heads.weight.zero_()
                heads.bias.zero_()
                heads.weight[CONTRIBUTIONS.index("relevance")] = last.weight[0] * start
            else:
                heads.weight.copy_(weight)
                heads.bias.copy_(bias)
        classifier.set_submodule(self._last, heads)
        self.heads = heads

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return the contributions, float [batch, 6]; inputs are int64 [batch, tokens]. Their sum is the score."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None and self.takes_type_ids:
            inputs["token_type_ids"] = token_type_ids
        contributions: Tensor = self.classifier(**inputs).logits
        return contributions

    @property
    def config(self) -> Any:
        """The transformers configuration of the classifier."""
        return self.classifier.config

    @property
    def takes_type_ids(self) -> bool:
        """Whether the encoder tells the two texts apart by type ids."""
        return int(getattr(self.config, "type_vocab_size", 0) or 0) > 1

    @classmethod
    def from_base(cls, base: str | Path, start: float = 1.0, dropout: float | None = None) -> PreferenceNet:
        """Load a pretrained encoder from a folder or the Hub and put new heads on it.

        Args:
            base: a folder, or the name of a model on the Hub.
            start: factor on the classification layer that the base brings along.
            dropout: replaces every dropout probability of the encoder.
        """
        net = cls(_load(base), start=start)
        if dropout is not None:
            for module in net.modules():
                if isinstance(module, nn.Dropout):
                    module.p = dropout
            for name in ("attention_probs_dropout_prob", "attention_dropout"):
                if hasattr(net.config, name):
                    setattr(net.config, name, dropout)
        return net

    @classmethod
    def from_checkpoint(cls, folder: str | Path) -> PreferenceNet:
        """Load a folder that `save` wrote."""
        from safetensors.torch import load_file

        path = Path(folder) / HEADS
        if not path.is_file():
            raise BundleError(f"{folder} is no checkpoint: it has no {HEADS}")
        heads = load_file(path)
        return cls(_load(folder), heads["weight"], heads["bias"])

    def save(self, folder: str | Path) -> None:
        """Write `config.json`, `model.safetensors` (one label: the sum of the heads) and `heads.safetensors`."""
        from safetensors.torch import save_file

        last = nn.Linear(self.heads.in_features, 1)
        with torch.no_grad():
            last.weight.copy_(self.heads.weight.sum(0, keepdim=True))
            last.bias.copy_(self.heads.bias.sum(0, keepdim=True))
        self.classifier.set_submodule(self._last, last)
        try:
            self.classifier.save_pretrained(folder)
        finally:
            self.classifier.set_submodule(self._last, self.heads)
        heads = {"weight": self.heads.weight.detach().float(), "bias": self.heads.bias.detach().float()}
        save_file({name: tensor.contiguous() for name, tensor in heads.items()}, Path(folder) / HEADS)


def _load(base: str | Path) -> nn.Module:
    from transformers import AutoModelForSequenceClassification

    try:
        model: nn.Module = AutoModelForSequenceClassification.from_pretrained(
            str(base), num_labels=1, dtype=torch.float32, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise BundleError(f"{base}: cannot be loaded as a model: {' '.join(str(error).split())[:300]}") from None
    model.config.problem_type = None
    model.config.id2label = {0: "score"}
    model.config.label2id = {"score": 0}
    return model


def _last_layer(classifier: nn.Module) -> tuple[str, nn.Linear]:
    """Return the name and the module of the one linear layer with one output."""
    found = [(n, m) for n, m in classifier.named_modules() if isinstance(m, nn.Linear) and m.out_features == 1]
    if len(found) != 1:
        raise BundleError(f"{type(classifier).__name__} has {len(found)} linear layers with one output; allowed: one")
    return found[0]
