"""Ctrl-C that lets the work come to a point from which it can go on."""

from __future__ import annotations

import signal
from contextlib import suppress
from types import FrameType, TracebackType


class CtrlC:
    """Within the block, remembers a first Ctrl-C in `pressed`; a second one interrupts at once, as usual.

    It changes nothing outside the main thread, or where someone else handles or ignores the signal.

    >>> done = 0
    >>> with CtrlC() as ctrl_c:
    ...     while done < 3 and not ctrl_c.pressed:
    ...         done += 1
    """

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> CtrlC:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            with suppress(ValueError):  # Python lets only the main thread do this
                signal.signal(signal.SIGINT, self._remember)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if signal.getsignal(signal.SIGINT) == self._remember:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
