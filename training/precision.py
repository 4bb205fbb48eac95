"""Which numbers matrix products are computed in."""

from __future__ import annotations

import torch


def has_bfloat16(device: str | torch.device) -> bool:
    """Return whether a device multiplies bfloat16 in hardware; elsewhere it is emulated, a hundred times slower.

    Args:
        device: "cpu", "cuda" or "cuda:N".

    >>> has_bfloat16("cpu") in (False, True)
    True
    """
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
