"""Many encodings through the model: batches of like length, in bfloat16, put back in order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from prefmodel.batching import length_batches
from prefmodel.encoding import Encoding, PairEncoder
from training.precision import has_bfloat16


def forward(
    net: nn.Module,
    encoder: PairEncoder,
    encodings: Sequence[Encoding],
    batch_tokens: int,
    bfloat16: bool | None = None,
) -> Tensor:
    """Return the contributions in the order of `encodings`, float32 [n, 6], on the device of `net`.

    Args:
        net: a `PreferenceNet`, or what gives the same; in the mode, and with gradients or without, as the caller wants.
        encoder: pads the batches.
        encodings: at least one.
        batch_tokens: padded tokens of one batch.
        bfloat16: compute matrix products in bfloat16; by default where the device does so in hardware. It has
            float32's range, so no loss scaling is needed; the contributions are float32 again, and so is what follows
            from them.
    """
    device = next(net.parameters()).device
    bfloat16 = has_bfloat16(device) if bfloat16 is None else bfloat16
    order: list[int] = []
    parts: list[Tensor] = []
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        for batch in length_batches([len(e) for e in encodings], batch_tokens):
            arrays = encoder.pad([encodings[i] for i in batch])
            parts.append(net(**{name: torch.from_numpy(array).to(device) for name, array in arrays.items()}))
            order.extend(batch)
    back = torch.empty(len(order), dtype=torch.long)
    back[torch.tensor(order)] = torch.arange(len(order))
    return torch.cat(parts).float()[back.to(device)]
