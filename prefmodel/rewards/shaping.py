"""From scores to rewards: temperature, length penalty, repetition guard, centring, clipping; pure numpy."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prefmodel.errors import InputError, shown

FLOAT = NDArray[np.float64]

# Chinese, Japanese and Korean write no spaces between words, so each character counts as one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|\w+|[^\w\s]")


EMPTY = -5.0
"""Reward of an answer without text, unless an option says otherwise: log-odds of 1 to 148 against an average answer."""


@dataclass(frozen=True, slots=True)
class RewardConfig:
    """How a score becomes a reward.

    The unit of a reward is a log-odds: with `temperature` None and nothing else set, two answers to one question whose
    rewards differ by d are in the order of a human label with probability sigmoid(d). In order:

        reward = (score - length) / temperature
                 - length_penalty * max(0, characters - length_free) / 1000
                 - repetition_penalty * max(0, repeats - repetition_free) / (1 - repetition_free)
        reward = reward - mean of the rewards of the question's answers in the call     (centre)
        reward = empty, for an answer without text
        reward = min(max(reward, low), high)                                            (clip)

    Args:
        temperature: logits for one unit of reward, above 0; None for the bundle's, fitted on human labels.
        length: keep the contribution `length`, where the bundle has one. People like longer answers; a policy that is
            paid for it learns to write them, so a reward leaves it out.
        length_penalty: reward lost for every 1,000 characters beyond `length_free`, 0 or more. It counters the taste
            for length that reward models have (arXiv 2409.17407).
        length_free: characters that cost nothing, 0 or more.
        repetition_penalty: reward lost by an answer of nothing but repeats, 0 or more.
        repetition_ngram: words of an n-gram, 1 or more. `repeats` is the share of n-grams that stood before.
        repetition_free: share of repeats that costs nothing, 0 to below 1: tables and code repeat themselves too.
        centre: subtract the mean of the question's answers in the call. For trainers without a baseline; TRL's GRPO
            and RLOO have one. The call has to hold whole groups: two or more answers to every question.
        clip: lowest and highest reward, or None.
        empty: reward of an answer without text; or None to leave it out, which only TRL's GRPO and RLOO allow. An
            answer that is left out gets no gradient, which is more than a bad answer gets: a policy under pressure
            can drift to silence. So the default is a floor: -5, log-odds of 1 to 148 against an average answer. It is
            not lower, since an outlier widens its group's spread, by which GRPO divides.

    Raises:
        InputError: a value is out of range.

    Example:
        >>> RewardConfig(clip=(-3, 3), length_penalty=0.5).clip
        (-3.0, 3.0)
    """

    temperature: float | None = None
    length: bool = False
    length_penalty: float = 0.0
    length_free: int = 2000
    repetition_penalty: float = 0.0
    repetition_ngram: int = 4
    repetition_free: float = 0.2
    centre: bool = False
    clip: tuple[float, float] | None = None
    empty: float | None = EMPTY

    def __post_init__(self) -> None:
        if self.temperature is not None and not (_number(self.temperature) and self.temperature > 0):
            raise InputError(f"temperature is {shown(self.temperature)}; allowed: above 0, or none for the bundle's")
        for name in ("length_penalty", "length_free", "repetition_penalty"):
            value = getattr(self, name)
            if not _number(value) or value < 0:
                raise InputError(f"{name} is {shown(value)}; allowed: 0 or more")
        if not isinstance(self.repetition_ngram, int) or isinstance(self.repetition_ngram, bool):
            raise InputError(f"repetition_ngram is {shown(self.repetition_ngram)}; allowed: a whole number, 1 or more")
        if self.repetition_ngram < 1:
            raise InputError(f"repetition_ngram is {self.repetition_ngram}; allowed: a whole number, 1 or more")
        if not _number(self.repetition_free) or not 0 <= self.repetition_free < 1:
            raise InputError(f"repetition_free is {shown(self.repetition_free)}; allowed: 0 to below 1")
        for name in ("length", "centre"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} is {shown(getattr(self, name))}; allowed: true or false")
        if self.empty is not None and not _number(self.empty):
            raise InputError(f"empty is {shown(self.empty)}; allowed: a number or none")
        if self.clip is not None:
            object.__setattr__(self, "clip", _range(self.clip))


def checked_config(config: object) -> RewardConfig:
    """Return options, those by default for None; raise InputError where they are of another kind.

    >>> checked_config(None).empty
    -5.0
    """
    if config is not None and not isinstance(config, RewardConfig):
        raise InputError(f"config is {shown(config)}; allowed: a RewardConfig or none")
    return config or RewardConfig()


@dataclass(frozen=True, slots=True)
class Shaped:
    """Rewards of n answers with text, and what was taken off them; float64 [n], in the unit of the reward."""

    rewards: FLOAT
    length_penalty: FLOAT
    repetition_penalty: FLOAT


def shape(
    scores: NDArray[np.floating],
    answers: Sequence[str],
    questions: Sequence[Hashable],
    config: RewardConfig,
    unit: float,
) -> Shaped:
    """Return the rewards of n answers with text; the equation stands at `RewardConfig`, up to the clipping.

    Args:
        scores: [n], logits.
        answers: n texts.
        questions: n questions; equal ones are one group.
        config: the options.
        unit: logits for one unit of reward, where `config.temperature` is None: the bundle's temperature.

    Example:
        >>> shape(np.array([3.0, 1.0]), ["Long.", "x"], ["Why?"] * 2, RewardConfig(centre=True), unit=2.0).rewards
        array([ 0.5, -0.5])
    """
    temperature = unit if config.temperature is None else config.temperature
    length = config.length_penalty * np.array([excess_length(a, config.length_free) for a in answers], np.float64)
    share = np.array([repeats(a, config.repetition_ngram) for a in answers], np.float64)
    excess = np.maximum(0.0, share - config.repetition_free) / (1 - config.repetition_free)
    repetition = config.repetition_penalty * excess
    rewards = scores.astype(np.float64) / temperature - length - repetition
    if config.centre:
        rewards = centred(rewards, questions)
    return Shaped(clipped(rewards, config.clip), length, repetition)


def excess_length(text: str, free: float) -> float:
    """Return how long a text is beyond `free` characters, in thousands of characters; white space around it is free.

    >>> excess_length("x" * 2500, free=2000)
    0.5
    """
    return max(0.0, len(text.strip()) - free) / 1000


def repeats(text: str, n: int) -> float:
    """Return which share of a text's n-grams stood in it before, 0 to 1. Punctuation marks count as words.

    A text of fewer than `n` words has none, so repeated single words show only with a small n.

    >>> repeats("the sky is blue: the sky is blue", n=4)  # the last of six
    0.17
    >>> repeats("no " * 103, n=4)
    0.99
    """
    words = _WORD.findall(text.lower())
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def centred(rewards: FLOAT, groups: Sequence[Hashable]) -> FLOAT:
    """Return rewards [n] minus the mean of their group, of which there is one for each value of `groups`.

    >>> centred(np.array([1.0, 3.0, 5.0]), ["a", "a", "b"])
    array([-1.,  1.,  0.])
    """
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    place = np.array([number[group] for group in groups], np.int64)
    means = np.bincount(place, rewards, len(number)) / np.maximum(1, np.bincount(place, minlength=len(number)))
    return np.asarray(rewards - means[place], np.float64)


def clipped(rewards: FLOAT, clip: tuple[float, float] | None) -> FLOAT:
    """Return rewards [n] no lower and no higher than the two of `clip`, or as they are where it is None.

    >>> clipped(np.array([-9.0, 1.0]), (-3, 3))
    array([-3.,  1.])
    """
    return rewards if clip is None else np.clip(rewards, *clip)


def _range(clip: object) -> tuple[float, float]:
    values = list(clip) if isinstance(clip, tuple | list) else []  # a list, where the options came as JSON
    if len(values) != 2 or not all(map(_number, values)) or not values[0] < values[1]:
        raise InputError(f"clip is {shown(clip)}; allowed: two numbers, the lower first, or none")
    return float(values[0]), float(values[1])


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
