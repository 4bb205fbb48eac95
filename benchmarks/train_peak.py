"""What `benchmarks/train.py` computes on: the device, its precision, and the peak in that precision.

The peak is that of `benchmarks/peak.py`; on a GPU that of a batch of such products, which is large enough to fill it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.peak import SIZE, kernels, rate
from benchmarks.peers import cpu
from training.precision import has_bfloat16

BATCH = 64
"""Products at once on a GPU."""


@dataclass(frozen=True)
class Machine:
    """Where training runs.

    Args:
        name: of the GPU, or of the CPU.
        bfloat16: whether it computes in bfloat16, which it does where it has that in hardware; else in float32.
    """

    name: str
    bfloat16: bool

    @classmethod
    def here(cls) -> Machine:
        if torch.cuda.is_available():
            return cls(torch.cuda.get_device_name(), has_bfloat16("cuda"))
        return cls(cpu(), has_bfloat16("cpu"))

    @property
    def precision(self) -> str:
        return "bfloat16" if self.bfloat16 else "float32"

    def peak(self, threads: int, seconds: float) -> float:
        """Return the most of 10^9 operations a second that products of matrices reach, measured for some time."""
        if not torch.cuda.is_available():
            return max(rate(product, seconds) for name, _, product in kernels(threads) if name == self.precision)
        dtype = torch.bfloat16 if self.bfloat16 else torch.float32
        a, b = (torch.randn(BATCH, SIZE, SIZE, device="cuda", dtype=dtype) for _ in range(2))

        def product() -> None:
            torch.bmm(a, b)
            torch.cuda.synchronize()

        return BATCH * rate(product, seconds)
