"""Batches of similar length, so that little time goes to padding."""

from __future__ import annotations

from collections.abc import Sequence


def length_batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Return batches of indices, longest first, each at most `max_tokens` when padded to its longest member.

    An input that is longer than `max_tokens` alone gets a batch of its own. Longest first, so that a lack of memory
    shows at once.

    Args:
        lengths: tokens of each input.
        max_tokens: padded tokens of a batch: number of inputs times the longest of them.

    >>> length_batches([3, 9, 4, 10], max_tokens=20)
    [[3, 1], [2, 0]]
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    room = 0
    for i in order:
        if room == 0:
            batches.append([])
            room = max(1, max_tokens // max(1, lengths[i]))
        batches[-1].append(i)
        room -= 1
    return batches
