"""Weights between what was learned and another model: see `TrainConfig.blend` and `TrainConfig.blend_base`."""

from __future__ import annotations

import torch

from prefmodel.errors import BundleError, InputError
from training.alike import read_alike
from training.model import PreferenceNet, load_tokenizer
from training.recipe import Recipe


def blend(net: PreferenceNet, other: PreferenceNet, share: float, heads: bool = True) -> None:
    """Move the weights of a network towards those of another: each becomes share * its own + (1 - share) * the other's.

    Args:
        net: changed in place.
        other: of the same shapes: see `check_shapes`.
        share: of the net's own weights, 0 to 1.
        heads: whether the heads move, too.

    Source: WiSE-FT, arXiv 2109.01903.

    >>> from transformers import BertConfig, BertForSequenceClassification
    >>> config = BertConfig(vocab_size=4, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, num_labels=1)
    >>> net, other = (PreferenceNet(BertForSequenceClassification(config)) for _ in range(2))
    >>> word, of_other = (n.classifier.get_input_embeddings().weight[1].tolist() for n in (net, other))
    >>> blend(net, other, 0.75)
    >>> mixed = net.classifier.get_input_embeddings().weight[1].tolist()
    >>> max(abs(m - 0.75 * w - 0.25 * o) for m, w, o in zip(mixed, word, of_other)) < 1e-6
    True
    """
    weights = dict(other.named_parameters())
    fixed = set() if heads else {id(weight) for weight in net.heads.parameters()}
    with torch.no_grad():
        for name, weight in net.named_parameters():  # each once: the heads have two names
            if id(weight) not in fixed:
                weight.copy_(torch.lerp(weights[name].to(weight), weight, share))


def blend_base(recipe: Recipe) -> PreferenceNet:
    """Return the model that `train.blend_base` names, with the words of `train.alike` alike; draws random numbers.

    Raises:
        BundleError: it cannot be loaded.
    """
    try:
        net = PreferenceNet.from_base(recipe.train.blend_base)
    except BundleError as error:
        raise BundleError(f"train.blend_base: {error}") from None
    read_alike(net, load_tokenizer(recipe.base), recipe.train.alike)
    return net


def check_shapes(net: PreferenceNet, other: PreferenceNet, name: str) -> None:
    """Raise InputError where the weights of `other`, which train.blend_base names `name`, have other shapes."""
    wanted, found = _shapes(net), _shapes(other)
    if wanted != found:
        part = next(part for part in sorted(wanted | found) if wanted.get(part) != found.get(part))
        if part not in wanted or part not in found:
            only = "lacks" if part in wanted else "has, unlike the base,"
            raise InputError(
                f"train.blend_base is {name!r}, which {only} {part}; allowed: a model with the layers of the base"
            )
        raise InputError(
            f"train.blend_base is {name!r}, whose {part} has the shape {found.get(part)};"
            f" allowed: {wanted.get(part)}, as in the base"
        )


def _shapes(net: PreferenceNet) -> dict[str, list[int]]:
    return {name: list(weight.shape) for name, weight in net.named_parameters()}
