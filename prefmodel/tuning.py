"""How many tokens to score at once: measured on this machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import numpy as np

from prefmodel.errors import InputError, PrefModelError, shown
from prefmodel.model import Encoded, PreferenceModel

LEAST, MOST = 512, 8192
"""Padded tokens of the smallest and the largest batches that are measured; larger ones for a backend whose own are."""
LENGTHS = 96, 320
"""Tokens of the inputs that are measured, a short one and a long one."""
SO_FAR_BEHIND = 0.8
"""Sizes with less than this share of the best speed are not measured again."""
AS_GOOD = 0.98
"""A smaller batch is chosen where it has this share of the best speed: it needs less memory."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast batches of some size are.

    Args:
        batch_tokens: padded tokens of a batch.
        tokens: how many go through in a second, the median of `runs`.
        runs: how often that was measured.
    """

    batch_tokens: int
    tokens: float
    runs: int


def tune(model: PreferenceModel, seconds: float = 10.0) -> list[Speed]:
    """Measure how fast batches of different sizes are.

    Every round goes through the sizes, so that a machine that is busy for a while is so for all of them.

    Args:
        model: the model, with its backend and threads.
        seconds: no batch is begun after them, but the two smallest sizes are always measured.

    Returns:
        What was measured, the smallest size first.

    Raises:
        InputError: `seconds` is not above 0.

    Example:
        >>> model = PreferenceModel.from_pretrained(threads=1)
        >>> [speed.batch_tokens for speed in tune(model, seconds=0.01)]
        [512, 1024]
    """
    if not seconds > 0:
        raise InputError(f"seconds is {shown(seconds)}; allowed: above 0")
    end = time.monotonic() + seconds
    sizes = [LEAST]
    while sizes[-1] < max(MOST, 4 * model.backend.batch_tokens):
        sizes.append(2 * sizes[-1])
    inputs = [model.encode(["Why is the sky blue?"], ["Air scatters blue light. " * (n // 5)]) for n in LENGTHS]
    _timed(model, inputs[0], LEAST)  # the first run takes longer
    rates: dict[int, list[float]] = {}
    while True:
        for size in sizes:
            if len(rates) >= min(2, len(sizes)) and time.monotonic() >= end:
                return [Speed(size, median(found), len(found)) for size, found in rates.items()]
            try:
                work = [_timed(model, encoded, size) for encoded in inputs]
            except PrefModelError:  # of a device whose memory is too small for so many
                rates = {s: found for s, found in rates.items() if s < size}
                if not rates:
                    raise
                break
            rates.setdefault(size, []).append(sum(n for n, _ in work) / sum(s for _, s in work))
        best = max(map(median, rates.values()))
        # Of all sizes, also those that were left out: the best of a round may be slow in the next.
        sizes = [size for size, found in rates.items() if median(found) >= SO_FAR_BEHIND * best]


def fastest(speeds: list[Speed]) -> int:
    """Return the size of the fastest batches, or of smaller ones that are about as fast.

    >>> fastest([Speed(512, 900.0, 3), Speed(1024, 990.0, 3), Speed(2048, 1000.0, 3)])
    1024
    """
    best = max(speed.tokens for speed in speeds)
    return min(speed.batch_tokens for speed in speeds if speed.tokens >= AS_GOOD * best)


def _timed(model: PreferenceModel, encoded: Encoded, batch_tokens: int) -> tuple[int, float]:
    """Return the tokens of one batch of copies of an input, and the seconds that it took."""
    [encoding] = encoded.encodings
    copies = max(1, batch_tokens // len(encoding))
    batch = Encoded([encoding] * copies, np.arange(copies))
    started = time.perf_counter()
    model.score_encoded(batch, batch_tokens)
    return copies * len(encoding), time.perf_counter() - started
