"""Looks at each update for what ruins a run: numbers that are none, a loss that explodes, scores that collapse."""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from prefmodel.errors import PrefModelError


class TrainingStopped(PrefModelError):
    """A run cannot come to good; what it had reached before is kept."""


class Watch:
    """Raises TrainingStopped for an update after which it makes no sense to go on.

    - A loss or gradient that is infinite or not a number.
    - An exploding loss: `times` what was usual, `patience` updates in a row. Usual is the first loss or, if it is
      lower, the lowest median of `window` losses; not the last one, which a loss that rises slowly takes along.
    - A collapse: the differences of scores have a standard deviation below `least`, `patience` updates in a row, though
      it was above before. The model then says the same of everything and is right by chance.

    Args:
        window: updates that a median is of.
        times: how much higher a loss may be.
        patience: updates in a row.
        least: standard deviation in logits.

    >>> watch = Watch(patience=2)
    >>> for loss in (0.7, 0.6, 0.6):
    ...     watch.update(loss, norm=1.0, spread=0.5)
    >>> watch.update(float("nan"), norm=1.0, spread=0.5)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    training.watch.TrainingStopped: the loss is nan, its gradient 1 long; train.learning_rate may be too high, or ...
    """

    def __init__(self, window: int = 50, times: float = 10.0, patience: int = 10, least: float = 1e-3):
        self._losses: deque[float] = deque(maxlen=window)
        self._times, self._patience, self._least = times, patience, least
        self._high = self._flat = 0
        self._spread, self._usual = 0.0, math.inf

    def update(self, loss: float, norm: float, spread: float) -> None:
        """Look at an update before it is made.

        Args:
            loss: mean loss of its pairs.
            norm: length of the gradient.
            spread: standard deviation over its pairs of score of chosen minus score of rejected, in logits.

        Raises:
            TrainingStopped: the text says why, and what may help.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingStopped(
                f"the loss is {loss:g}, its gradient {norm:g} long; train.learning_rate may be too high, or the base "
                "damaged"
            )
        if not self._losses:
            self._usual = loss
        elif len(self._losses) >= self._patience:
            self._usual = min(self._usual, median(self._losses))
        self._high = self._high + 1 if loss > self._times * max(self._usual, 0.1) else 0
        if self._high == self._patience:
            raise TrainingStopped(
                f"the loss explodes: {loss:.3g} where {self._usual:.3g} was usual, {self._patience} updates in a row; "
                "train.learning_rate may be too high, or train.warmup too short"
            )
        self._losses.append(loss)
        self._spread = max(self._spread, spread)
        self._flat = self._flat + 1 if spread < self._least < self._spread else 0
        if self._flat == self._patience:
            raise TrainingStopped(
                f"the model collapsed: for {self._patience} updates it has given all answers the same score; "
                "train.learning_rate may be too high, or train.warmup too short"
            )
