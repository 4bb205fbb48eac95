"""A masked-language-model loss beside the preference loss, for what is far from the training data (Mask-tuning)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForMaskedLM

from prefmodel.errors import BundleError, InputError, one_line

IGNORED = -100
"""Target of a token that is not predicted."""


class MaskedLM(nn.Module):
    """The word predictor of a base, on the encoder that is being trained.

    Only masked tokens go through it: for all of them the vocabulary would cost more than a small encoder.

    Source: arXiv 2307.10457 (Mask-tuning): the joint loss of masked language modelling and fine-tuning.

    Args:
        base: the pretrained start, a folder or the name of a model on the Hub. Where it brings no predictor along,
            one starts at random, with the word embeddings as its last layer.
        classifier: the transformers model whose encoder is shared.

    Raises:
        BundleError: the architecture has no masked language model.
    """

    def __init__(self, base: str, classifier: Any):
        super().__init__()
        try:
            model = AutoModelForMaskedLM.from_pretrained(base, dtype=torch.float32)
        except Exception as error:  # of transformers, of the Hub: no common base
            text = f"objective.masked_lm: {base} has no masked language model: {one_line(error)}"
            raise BundleError(text) from None
        parts = dict(model.named_children())
        parts.pop(model.base_model_prefix, None)
        self.parts = nn.ModuleList(parts.values())
        last = model.get_output_embeddings()
        if last is not None:  # tied, as in pretraining
            last.weight = classifier.get_input_embeddings().weight
        # Not a sub-module: its weights belong to the classifier, and would be there twice.
        self._encoder = [classifier]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy of the masked tokens, a scalar; 0 where none is.

        Args:
            input_ids: with masks in them, int64 [batch, tokens].
            attention_mask: int64 [batch, tokens].
            targets: the tokens behind the masks, `IGNORED` elsewhere, int64 [batch, tokens].
        """
        hidden: Tensor = self._encoder[0].base_model(input_ids=input_ids, attention_mask=attention_mask)[0]
        wanted = targets != IGNORED
        found = hidden[wanted]
        for part in self.parts:
            found = part(found)
        if not len(found):
            return hidden.sum() * 0.0
        loss: Tensor = cross_entropy(found.float(), targets[wanted])
        return loss


@dataclass(frozen=True, slots=True)
class Masking:
    """Which tokens are masked.

    Args:
        mask_id: the token that stands for a masked one.
        special: ids of tokens that are never masked.
        share: of the others that are, 0 to 1.
        seed: of the draws.
    """

    mask_id: int
    special: tuple[int, ...]
    share: float
    seed: int = 0

    @classmethod
    def of(cls, tokenizer: Tokenizer, share: float, seed: int) -> Masking:
        """Return the masking for a tokenizer; raise InputError when it has no token for masks."""
        added = tokenizer.get_added_tokens_decoder()
        found = [i for name in ("[MASK]", "<mask>") if (i := tokenizer.token_to_id(name)) is not None]
        if not found:
            raise InputError("objective.masked_lm: the tokenizer has no [MASK] or <mask>; allowed: 0 for this base")
        return cls(found[0], tuple(i for i, token in added.items() if token.special), share, seed)

    def draw(self, input_ids: Tensor, attention_mask: Tensor, *key: int) -> tuple[Tensor, Tensor]:
        """Return ids with some tokens masked, and what they were, `IGNORED` elsewhere: both int64 [batch, tokens].

        Args:
            input_ids: int64 [batch, tokens].
            attention_mask: int64 [batch, tokens], 0 for padding, which is never masked.
            key: what tells this draw from others; the same key draws the same.

        >>> ids = torch.tensor([[1, 7, 8, 9]])
        >>> Masking(mask_id=3, special=(1,), share=1.0).draw(ids, torch.tensor([[1, 1, 1, 0]]))
        (tensor([[1, 3, 3, 9]]), tensor([[-100,    7,    8, -100]]))
        """
        generator = torch.Generator().manual_seed(hash((self.seed, *key)) % 2**63)
        drawn = torch.rand(input_ids.shape, generator=generator).to(input_ids.device) < self.share
        drawn &= attention_mask.bool() & ~torch.isin(input_ids, torch.tensor(self.special, device=input_ids.device))
        targets = torch.where(drawn, input_ids, torch.full_like(input_ids, IGNORED))
        return torch.where(drawn, torch.full_like(input_ids, self.mask_id), input_ids), targets
