"""What all rewards share: a model that loads again after pickling, and rewards with what stands behind them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefmodel.bundle import Bundle
from prefmodel.errors import InputError, shown
from prefmodel.model import PreferenceModel, Scores
from prefmodel.rewards.shaping import RewardConfig, Shaped, clipped, shape
from prefmodel.types import LENGTH, Question

Sample = tuple[Question, str]
"""A question and the answer to it; the answer may be without text."""


class SharedModel:
    """A preference model that threads may use at once, and that another process loads again from its folder.

    Args:
        model: a bundle's folder or Hub name, None for the default model, or a loaded model.
        threads: CPU threads of one run; by default as many as this process may use.
        backend: what runs the network; by default the fastest that is installed.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
        InputError: `model`, `threads` or `backend` is not what is allowed.

    Example:
        >>> import pickle
        >>> shared = SharedModel(threads=1)
        >>> len(pickle.dumps(shared)) < 1000
        True
    """

    def __init__(
        self,
        model: str | Path | PreferenceModel | None = None,
        threads: int | None = None,
        backend: str | None = None,
    ):
        if isinstance(model, PreferenceModel):
            for name, value in (("threads", threads), ("backend", backend)):
                if value is not None:
                    raise InputError(f"{name} is {value}; allowed: none for a model that is loaded")
            self._model: PreferenceModel | None = model
        elif model is None or isinstance(model, str | Path):
            # Now and not on first use, so that a wrong path stops the trainer before it has generated anything.
            self._model = PreferenceModel.from_pretrained(model, threads=threads, backend=backend)
        else:
            raise InputError(f"model is {shown(model)}; allowed: a folder, a Hub name, a PreferenceModel or none")
        # The backend that was chosen here: another process shall give the same rewards, or say why not.
        bundle = self._model.bundle
        self._source = (bundle.folder.absolute(), None, bundle.asked, threads, self._model.backend.name)
        self._lock = threading.Lock()

    @property
    def model(self) -> PreferenceModel:
        """The model, loaded if this process has not yet done so."""
        with self._lock:  # threads that ask at the same time shall not load it twice
            if self._model is None:
                self._model = PreferenceModel.from_pretrained(*self._source)
            return self._model

    # A session of onnxruntime cannot be pickled, and a trainer's worker needs the path only.
    def __getstate__(self) -> dict[str, Any]:
        return {"_source": self._source}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _model=None, _lock=threading.Lock())


@dataclass(frozen=True, slots=True)
class Rewards:
    """Rewards of n samples and what stands behind them.

    Args:
        values: n rewards; None for a sample that failed, or that is empty where the options leave those out.
        errors: n; why a sample failed, or None.
        empty: bool [n], answers without text.
        place: int64 [m], which of the n were scored.
        scored: the m scores and contributions of those, in logits.
        shaped: their m rewards, and what was taken off them.
        contributions: names of the contributions.
    """

    values: list[float | None]
    errors: list[InputError | None]
    empty: NDArray[np.bool_]
    place: NDArray[np.int64]
    scored: Scores
    shaped: Shaped
    contributions: tuple[str, ...]

    def numbers(self) -> list[float]:
        """Return the rewards; raise the InputError of the first sample that has none."""
        for i, (value, error) in enumerate(zip(self.values, self.errors, strict=True)):
            if error is not None:
                raise error
            if value is None:
                raise InputError(f"answer {i} is empty and the option empty is none; allowed here: a number")
        return [value for value in self.values if value is not None]

    def details(self) -> dict[str, list[float]]:
        """Return n values each of the score and its contributions (logits), the penalties (reward), `cut` and `empty`.

        `cut` is 1 where the model did not see the whole answer. A sample that was not scored has 0 everywhere and,
        unless it failed, 1 in `empty`: trainers take means of these columns and know no missing value.
        """
        columns: dict[str, NDArray[Any]] = {"raw_score": self.scored.scores}
        columns |= dict(zip(self.contributions, self.scored.contributions.T, strict=True))
        columns["cut"] = self.scored.answer_cut > 0
        columns |= {"length_penalty": self.shaped.length_penalty, "repetition_penalty": self.shaped.repetition_penalty}
        filled = {}
        for name, column in columns.items():
            whole = np.zeros(len(self.values))
            whole[self.place] = column
            filled[name] = whole.tolist()
        return filled | {"empty": self.empty.astype(float).tolist()}

    def means(self) -> dict[str, float]:
        """Return means over the scored samples of what `details` has, and shares of all samples.

        The shares are `empty`, `failed`, and `cut`: answers of which the model did not see the whole.
        """
        number = max(1, len(self.values))
        means = {"empty": float(self.empty.sum()) / number}
        means["failed"] = sum(error is not None for error in self.errors) / number
        if len(self.place):
            columns = self.details()
            means["cut"] = sum(columns["cut"]) / number
            means |= {name: float(np.array(column)[self.place].mean()) for name, column in columns.items()
                      if name not in means}  # fmt: skip
        return means


def score_samples(model: PreferenceModel, samples: Sequence[Sample | InputError], config: RewardConfig) -> Rewards:
    """Return the rewards of n samples; those that are errors already stay so.

    Raises:
        InputError: `config.centre` is set and a question has one answer only.

    Example:
        >>> from prefmodel.shortcuts import default_model
        >>> samples = [("Why is the sky blue?", "Air scatters blue light more than red."), ("Why?", " ")]
        >>> rewards = score_samples(default_model(), samples, RewardConfig(empty=-4.0))
        >>> rewards.values[1], rewards.errors
        (-4.0, [None, None])
    """
    if config.centre:
        _check_groups(samples)
    good = [(i, *s) for i, s in enumerate(samples) if not isinstance(s, InputError)]
    written = [(i, question, answer) for i, question, answer in good if answer.strip()]
    place = np.array([i for i, _, _ in written], np.int64)
    questions, answers = [q for _, q, _ in written], [a for _, _, a in written]
    scored = model.score_batch(questions, answers)
    rewarded = scored.scores if config.length else without_length(scored, model.bundle)
    shaped = shape(rewarded, answers, questions, config, model.bundle.temperature)
    empty = np.zeros(len(samples), np.bool_)
    empty[[i for i, _, answer in good if not answer.strip()]] = True
    floor = None if config.empty is None else float(clipped(np.array([config.empty], np.float64), config.clip)[0])
    values: list[float | None] = [floor if is_empty else None for is_empty in empty]
    for i, reward in zip(place.tolist(), shaped.rewards.tolist(), strict=True):
        values[i] = reward
    errors = [s if isinstance(s, InputError) else None for s in samples]
    return Rewards(values, errors, empty, place, scored, shaped, model.bundle.contributions)


def without_length(scored: Scores, bundle: Bundle) -> NDArray[np.float32]:
    """Return the scores less the contribution `length`, where the bundle has one; float32 [n], logits.

    Args:
        scored: n scores of the bundle's model, with their contributions.
        bundle: says which contribution that is.
    """
    names = bundle.contributions
    return scored.scores - scored.contributions[:, names.index(LENGTH)] if LENGTH in names else scored.scores


def _check_groups(samples: Sequence[Sample | InputError]) -> None:
    for question, number in Counter(s[0] for s in samples if not isinstance(s, InputError)).items():
        if number < 2:  # its centred reward would be 0, whatever the answer
            raise InputError(
                f"centre is true, and the call has one answer to {shown(question)}; allowed: two or more to a question"
            )
