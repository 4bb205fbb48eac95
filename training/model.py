"""The preference model in torch: a pretrained encoder, its family's own pooling, one linear head per contribution."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from prefmodel.bundle_files import MANIFEST
from prefmodel.errors import BundleError
from prefmodel.types import CONTRIBUTIONS, LENGTH
from training.length import Length, to_tensor

HEADS = "heads.safetensors"
"""File of a checkpoint with the heads one by one; `model.safetensors` holds their sum as an ordinary classifier."""

ATTENTION_DROPOUT = ("attention_dropout", "attention_probs_dropout_prob")
"""Names under which models that call dropout as a function keep its probability, in modules and configurations."""


class PreferenceNet(nn.Module):
    """A sequence classifier whose last linear layer gives one contribution for each principle and `general`.

    The score is the sum of the contributions, so the heads add up to an ordinary classifier with one label: a
    checkpoint loads with `AutoModelForSequenceClassification` and gives the same score.

    Args:
        classifier: a transformers model for sequence classification with one label; its last layer is replaced.
        weight: float32 [contributions, hidden], the heads; by default the classifier's own layer becomes the
            head `relevance`, times `start` and without its bias, and the other heads start at zero.
        bias: float32 [contributions]; where the classifier's own layer has none, it stays as it is in training.
        start: factor on the classifier's own layer.
        length: the contribution `length`, or None for none: see `training.length`.

    Raises:
        BundleError: the classifier does not end in one linear layer with one output, or there is a length and it does
            not tell the two texts apart.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_labels=1)
    >>> net = PreferenceNet(BertForSequenceClassification(config))
    >>> net(torch.ones(2, 5, dtype=torch.long), torch.ones(2, 5, dtype=torch.long)).shape
    torch.Size([2, 6])
    """

    classifier: Any  # transformers has no types
    heads: nn.Linear

    def __init__(
        self,
        classifier: nn.Module,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        start: float = 1.0,
        length: Length | None = None,
    ):
        super().__init__()
        self.classifier = classifier
        self.length = length
        self._last, last = _last_layer(classifier)
        self._has_bias = last.bias is not None
        heads = nn.Linear(last.in_features, len(CONTRIBUTIONS))
        with torch.no_grad():
            if weight is None or bias is None:
                heads.weight.zero_()
                heads.bias.zero_()
                heads.weight[CONTRIBUTIONS.index("relevance")] = last.weight[0] * start
            else:
                heads.weight.copy_(weight)
                heads.bias.copy_(bias)
        heads.bias.requires_grad_(self._has_bias)  # else the ordinary classifier could not hold what it learns
        classifier.set_submodule(self._last, heads)
        self.heads = heads
        self.train(classifier.training)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Return the contributions in logits, float [batch, 6] or with a length 7; inputs are int64 [batch, tokens]."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None and self.takes_type_ids:
            inputs["token_type_ids"] = token_type_ids
        from training.backbones import logits

        found = logits(self.classifier, inputs)
        if self.length is None:
            return found
        if token_type_ids is None or not self.takes_type_ids:
            raise BundleError(
                f"{type(self.classifier).__name__} does not tell questions from answers; allowed: no length"
            )
        return torch.cat([found, self.length.of(token_type_ids * attention_mask)], 1)

    @property
    def contributions(self) -> tuple[str, ...]:
        """The names of the contributions, in their order."""
        return CONTRIBUTIONS if self.length is None else (*CONTRIBUTIONS, LENGTH)

    @property
    def config(self) -> Any:
        """The transformers configuration of the classifier."""
        return self.classifier.config

    @property
    def takes_type_ids(self) -> bool:
        """Whether the encoder tells the two texts apart by type ids."""
        return int(getattr(self.config, "type_vocab_size", 0) or 0) > 1

    @classmethod
    def from_base(
        cls,
        base: str | Path,
        start: float = 1.0,
        dropout: float | None = None,
        layers: int = 0,
        keep_length: bool = False,
    ) -> PreferenceNet:
        """Load a pretrained encoder and put new heads on it.

        Args:
            base: a folder, or the name of a model on the Hub. Without a classification layer of its own, the head
                `relevance` starts at random; a checkpoint of ours brings all of its heads along,
                and leaves its contribution `length` behind: that is fitted on what was learned, not learned with it.
            start: factor on the classification layer, or on the heads, that the base brings along.
            dropout: replaces every dropout probability of the encoder; none leaves them.
            layers: keep so many of the encoder's lower layers; 0 keeps all. The pooling and the heads then start
                fresh: what the base has there was made for the layers that are gone.
            keep_length: whether the contribution `length` that the base brings along stays, as it is.

        Raises:
            BundleError: there is no such model, it has fewer layers or no length that is to stay, or it does not end in
                one linear layer with one output.
        """
        heads = None if layers else _heads(Path(base))
        if keep_length and (heads is None or heads.length is None):
            raise BundleError(f"{base} has no contribution length, which train.keep_length needs")
        if heads is not None:
            heads = Heads(heads.weight * start, heads.bias * start, heads.length if keep_length else None)
        net = cls(_load(base)[0], start=start) if heads is None else cls._with_heads(base, heads)
        if layers:
            _keep_layers(net.classifier, layers)
            _fresh_top(net)
        if dropout is not None:
            _set_dropout(net, dropout)
        return net

    @classmethod
    def teacher(cls, base: str | Path, start: float = 1.0) -> PreferenceNet:
        """Load a model that is to be learned from, in evaluation mode; its contribution `relevance` is what it knows.

        Args:
            base: a folder, or the name of a model on the Hub, with a classification layer of its own, whose whole score
                counts as relevance; a checkpoint of ours brings its contributions along, without `length`.
            start: factor on that layer, or on the heads.

        Raises:
            BundleError: there is no such model, or it brings no classification layer along.
        """
        heads = _heads(Path(base))
        if heads is None:
            classifier, missing = _load(base)
            net = cls(classifier, start=start)
            if f"{net._last}.weight" in missing:
                raise BundleError(f"{base} has no classification layer of its own, which a teacher needs")
        else:
            net = cls._with_heads(base, Heads(heads.weight * start, heads.bias * start))
        return net.eval().requires_grad_(False)

    @classmethod
    def from_checkpoint(cls, folder: str | Path) -> PreferenceNet:
        """Load a folder that `save` wrote; raise BundleError when it is none."""
        heads = _heads(Path(folder))
        if heads is None:
            raise BundleError(f"{folder} is no checkpoint: it has no {HEADS}")
        return cls._with_heads(folder, heads)

    @classmethod
    def _with_heads(cls, folder: str | Path, heads: Heads) -> PreferenceNet:
        classifier = _load(folder)[0]
        try:
            return cls(classifier, heads.weight, heads.bias, length=heads.length)
        except RuntimeError as error:
            raise BundleError(f"{Path(folder) / HEADS}: damaged: {_one_line(error)}") from None

    def save(self, folder: str | Path) -> None:
        """Write `config.json`, `model.safetensors` (one label: the sum of the heads) and `heads.safetensors`.

        Without `heads.safetensors` the model is one without length.
        """
        from safetensors.torch import save_file

        _quiet_bars()
        weight, bias = self.heads.weight.detach().float(), self.heads.bias.detach().float()
        last = nn.Linear(self.heads.in_features, 1, bias=self._has_bias)
        with torch.no_grad():
            last.weight.copy_(weight.sum(0, keepdim=True))
            if self._has_bias:
                last.bias.copy_(bias.sum(0, keepdim=True))
        self.classifier.set_submodule(self._last, last)
        try:
            self.classifier.save_pretrained(folder)
        finally:
            self.classifier.set_submodule(self._last, self.heads)
        tensors = {"weight": weight.contiguous(), "bias": bias.contiguous()}
        if self.length is not None:
            tensors["length"] = to_tensor(self.length)
        save_file(tensors, Path(folder) / HEADS)


@dataclass(frozen=True, slots=True)
class Heads:
    """What a checkpoint says of its contributions: weight [contributions, hidden], bias [contributions], length."""

    weight: Tensor
    bias: Tensor
    length: Length | None = None

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Heads:
        """Take the tensors of `heads.safetensors`; raise KeyError or TypeError when they are others."""
        length = Length(*tensors["length"].tolist()) if "length" in tensors else None
        return cls(tensors["weight"], tensors["bias"], length)


def _heads(folder: Path) -> Heads | None:
    """Return a checkpoint's heads, or None for a folder without any, or no folder."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / HEADS
    if not path.is_file():
        return None
    try:
        return Heads.of(load_file(path))
    except (SafetensorError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: damaged: {_one_line(error)}") from None


def load_tokenizer(base: str | Path) -> Tokenizer:
    """Load `tokenizer.json` of a folder or of a model on the Hub; raise BundleError when there is none."""
    path = Path(base) / "tokenizer.json"
    try:
        if not path.is_file():
            from huggingface_hub import hf_hub_download

            path = Path(hf_hub_download(str(base), "tokenizer.json"))
        return Tokenizer.from_file(str(path))
    except Exception as error:  # huggingface_hub and tokenizers raise many kinds; all mean the same to the user
        raise BundleError(f"{base}: no tokenizer.json: {_one_line(error)}") from None


def save_tokenizer(base: str | Path, folder: Path) -> None:
    """Write the tokenizer of `base` to `folder`, with the settings that transformers wants beside it."""
    load_tokenizer(base).save(str(folder / "tokenizer.json"))
    settings = Path(base) / "tokenizer_config.json"
    if settings.is_file():
        shutil.copyfile(settings, folder / settings.name)


def _load(base: str | Path) -> tuple[Any, set[str]]:
    """Return the classifier, and the names of its weights that the base lacks."""
    from training.backbones import load_classifier

    _quiet_bars()
    try:
        model, missing = load_classifier(base)
    except Exception as error:  # of transformers, of safetensors, of the Hub: no common base
        is_bundle = (Path(base) / MANIFEST).is_file()
        hint = f"; `prefmodel unpack {base} -o FOLDER` makes a checkpoint of a bundle" if is_bundle else ""
        raise BundleError(f"{base}: cannot be loaded as a model: {_one_line(error)}{hint}") from None
    model.config.problem_type = None
    model.config.id2label = {0: "score"}
    model.config.label2id = {"score": 0}
    return model, missing


def _quiet_bars() -> None:
    """Keep transformers' progress bars, which last for a second, out of logs."""
    if not sys.stderr.isatty():
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]


def _last_layer(classifier: nn.Module) -> tuple[str, nn.Linear]:
    """Return the name and the module of the one linear layer with one output."""
    found = [(n, m) for n, m in classifier.named_modules() if isinstance(m, nn.Linear) and m.out_features == 1]
    if len(found) != 1:
        raise BundleError(f"{type(classifier).__name__} has {len(found)} linear layers with one output; allowed: one")
    return found[0]


def _keep_layers(classifier: Any, layers: int) -> None:
    """Drop all but the lower `layers` of the encoder."""
    from training.backbones import layer_stacks

    config = classifier.config
    has = config.num_hidden_layers
    stacks = layer_stacks(classifier)
    if len(stacks) != 1:
        kind = type(classifier).__name__
        raise BundleError(f"{kind} has {len(stacks)} stacks of {has} layers; allowed with train.layers: one")
    if layers > has:
        raise BundleError(f"train.layers is {layers}; allowed: 0 to {has}, the layers of the base")
    classifier.set_submodule(stacks[0], classifier.get_submodule(stacks[0])[:layers])
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    config.num_hidden_layers = layers


def _fresh_top(net: PreferenceNet) -> None:
    """Let the pooling pass on what it is given, and start the heads at small random weights."""
    stacks = tuple(f"{name}." for name, m in net.classifier.named_modules() if isinstance(m, nn.ModuleList))
    with torch.no_grad():
        for name, module in net.classifier.named_modules():
            square = isinstance(module, nn.Linear) and module.in_features == module.out_features
            if square and not name.startswith(stacks):
                # Half, so that a tanh behind it is not saturated.
                module.weight.copy_(torch.eye(module.in_features) / 2)
                if module.bias is not None:
                    module.bias.zero_()
        net.heads.weight.normal_(0.0, 0.02)
        net.heads.bias.zero_()


def _set_dropout(net: PreferenceNet, dropout: float) -> None:
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
    for holder in (net.config, *net.modules()):
        for name in ATTENTION_DROPOUT:
            if isinstance(getattr(holder, name, None), float):
                setattr(holder, name, dropout)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
