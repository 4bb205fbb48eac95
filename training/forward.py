"""Many encodings through the model: batches of like length, in bfloat16, put back in order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prefmodel.batching import length_batches
from prefmodel.encoding import Encoding, PairEncoder
from training.model import PreferenceNet


def forward(
    net: PreferenceNet, encoder: PairEncoder, encodings: Sequence[Encoding], batch_tokens: int, bfloat16: bool = True
) -> Tensor:
    """Return the contributions in the order of `encodings`, float32 [n, 6], on the device of `net`.

    Args:
        net: in training or evaluation mode, with or without gradients: as the caller has set it.
        encoder: pads the batches.
        encodings: at least one.
        batch_tokens: padded tokens of one batch.
        bfloat16: compute matrix products in bfloat16. It has float32's range, so no loss scaling is needed; the
            contributions are float32 again, and so is what follows from them.
    """
    device = net.heads.weight.device
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
