"""Batches without padding: the rows follow each other in one row of tokens, and attention keeps to each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AttentionInterface
from transformers.modeling_outputs import BaseModelOutputWithPooling

from prefmodel.errors import one_line

NAME = "prefmodel_packed"
"""What transformers calls the attention below."""

CLOSE = 0.1
"""Logits by which packed scores may differ from padded ones, in bfloat16; a packing that mixes rows is further off."""


class Rows:
    """Where the rows of a batch lie when they follow each other.

    Args:
        keep: bool [batch, tokens], false where there is padding.
    """

    def __init__(self, keep: Tensor):
        lengths = keep.sum(1)
        self.keep = keep
        self.longest = int(lengths.max())
        self.ends = functional.pad(lengths.cumsum(0), (1, 0)).int()
        """Where each row begins, and where the last one ends: int32 [batch + 1]."""
        self.number, self.position = keep.nonzero(as_tuple=True)
        """Row and place in it of each token that is left, int64 [total]."""
        self.attended = 0
        """How many layers kept to the rows."""


class Packed:
    """An encoder or decoder that takes and gives padded rows, and computes without the padding.

    Args:
        base: a transformers model without its head, whose attention is `packed_attention`.
    """

    def __init__(self, base: Any):
        self._base, self._forward = base, base.forward
        # The RoBERTa family counts positions from the one behind that of padding.
        embeddings = getattr(getattr(base, "embeddings", None), "position_embeddings", None)
        padding = getattr(embeddings, "padding_idx", None)
        self._first = 0 if padding is None else int(padding) + 1

    def __call__(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None, **options: Any
    ) -> BaseModelOutputWithPooling:
        """Return `last_hidden_state` [batch, tokens, width], zero in padding; inputs are int64 [batch, tokens]."""
        rows = Rows(attention_mask.bool())
        given = {name: value for name, value in options.items() if value is not None}
        given |= {"input_ids": input_ids[rows.keep][None], "position_ids": rows.position[None] + self._first}
        if token_type_ids is not None:
            given["token_type_ids"] = token_type_ids[rows.keep][None]
        found = self._forward(**given, packed_rows=rows)[0]
        if rows.attended < self._base.config.num_hidden_layers:
            raise ValueError(f"{rows.attended} of {self._base.config.num_hidden_layers} layers kept to the rows")
        hidden = found.new_zeros(*rows.keep.shape, found.shape[-1])
        hidden[rows.keep] = found[0]
        pooler = getattr(self._base, "pooler", None)
        return BaseModelOutputWithPooling(hidden, None if pooler is None else pooler(hidden))


def pack(classifier: Any) -> Callable[[], None]:
    """Let a transformers classifier compute without padding; return what undoes it. Its weights keep their names.

    Attention then has no dropout: the kernels for rows of many lengths know none.

    Raises:
        ValueError: transformers knows no other attention for this architecture, or it is an encoder-decoder.
    """
    if classifier.config.is_encoder_decoder:
        raise ValueError("its decoder attends to another text")
    base, before = classifier.base_model, classifier.config._attn_implementation
    AttentionInterface.register(NAME, packed_attention)
    classifier.set_attn_implementation(NAME)
    base.forward = Packed(base)

    def unpack() -> None:
        del base.forward
        classifier.set_attn_implementation(before)

    return unpack


def try_packing(classifier: Any, compute: Callable[[dict[str, Tensor]], Tensor]) -> str:
    """Pack from now on, unless rows of different lengths then get other scores than padded ones; return why not.

    Args:
        classifier: see `pack`.
        compute: returns what the classifier's network makes of a padded batch, float32 on the CPU.
    """
    rows, tokens = torch.arange(3)[:, None], torch.arange(24)[None]
    mask = (tokens < 24 - 7 * rows).long()
    ids = (1 + (tokens * 7 + rows * 3) % 89) * mask
    batch = {"input_ids": ids, "attention_mask": mask, "token_type_ids": (tokens > 8) * mask}
    padded = compute(batch)
    try:
        unpack = pack(classifier)
    except ValueError as error:
        return str(error)
    try:
        difference = float((compute(batch) - padded).abs().max())
        if difference < CLOSE * max(1.0, float(padded.abs().max())):
            return ""
        reason = f"scores move by {difference:.2g}"
    except Exception as error:  # what an architecture does with arguments that it does not know, nobody knows
        reason = one_line(error)
    unpack()
    return reason


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    is_causal: bool | None = None,
    packed_rows: Rows | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Return attention within the rows, float [1, total, heads, width], and no weights.

    Args:
        module: the layer; it says whether tokens see only those before them.
        query: float [1, heads, total, width]; keys and values may have fewer heads.
        sliding_window: a token sees those that are fewer places away.
        packed_rows: where the rows lie.
        rest: what other kinds of attention take.

    Raises:
        ValueError: the architecture's attention does more than this.
    """
    unknown = [name for name in ("position_bias", "softcap", "s_aux") if rest.get(name) is not None]
    if packed_rows is None or unknown:
        raise ValueError(f"its attention takes {', '.join(unknown) or 'no arguments of ours'}")
    packed_rows.attended += 1
    causal = bool(getattr(module, "is_causal", False)) if is_causal is None else is_causal
    left = -1 if sliding_window is None else sliding_window - 1
    if not query.is_cuda:
        mask = _mask(packed_rows, left, causal)
        found = functional.scaled_dot_product_attention(query, key, value, mask, scale=scaling, enable_gqa=True)
        return found.transpose(1, 2), None
    from torch.nn.attention.varlen import varlen_attn

    if torch.is_autocast_enabled("cuda"):  # rotary positions are float32, and so is what they touch
        query, key, value = (part.to(torch.get_autocast_dtype("cuda")) for part in (query, key, value))
    times = query.shape[1] // key.shape[1]
    if times > 1:  # not every torch 2 takes fewer keys than queries
        key, value = (part.repeat_interleave(times, 1) for part in (key, value))
    # [total, heads, width] each
    queries, keys, values = (part[0].transpose(0, 1).contiguous() for part in (query, key, value))
    ends, longest = packed_rows.ends, packed_rows.longest
    window = left, 0 if causal else left
    attended: Any = varlen_attn(queries, keys, values, ends, ends, longest, longest, scale=scaling, window_size=window)
    return attended[None], None


def _mask(rows: Rows, left: int, causal: bool) -> Tensor:
    """Return which token sees which, bool [total, total]: what a GPU does without it."""
    places = torch.arange(len(rows.number), device=rows.number.device)
    away = places[:, None] - places[None]
    mask = rows.number[:, None] == rows.number[None]
    if left >= 0:
        mask &= away.abs() <= left
    return mask & (away >= 0) if causal else mask
