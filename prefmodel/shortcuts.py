"""`score`, `rank`, `compare` and `explain` with the default model, which is loaded on first use and kept."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from prefmodel.arguments import QuestionLike
from prefmodel.explanation import Explanation
from prefmodel.model import PreferenceModel, Ranked

_lock = threading.Lock()
_model: PreferenceModel | None = None


def default_model() -> PreferenceModel:
    """Return the default model, one for the whole process; raise BundleError when this install has none."""
    global _model
    with _lock:  # threads that ask at the same time shall not load it twice
        if _model is None:
            _model = PreferenceModel.from_pretrained()
        return _model


@overload
def score(question: QuestionLike, answer: str) -> float: ...  # type: ignore[overload-overlap] # str is a Sequence[str]
@overload
def score(question: QuestionLike | Sequence[QuestionLike], answer: Sequence[str]) -> NDArray[np.float32]: ...
def score(question: QuestionLike | Sequence[QuestionLike], answer: str | Sequence[str]) -> float | NDArray[np.float32]:
    """Return how good an answer to a question is, a logit; see `PreferenceModel.score`.

    >>> score("Why is the sky blue?", "Air scatters blue light more than red.") > score("Why is the sky blue?", "Yes.")
    True
    """
    return default_model().score(question, answer)


def rank(question: QuestionLike, answers: Sequence[str]) -> list[Ranked]:
    """Return the answers to one question, best first; see `PreferenceModel.rank`.

    >>> [r.index for r in rank("Why is the sky blue?", ["Yes.", "Air scatters blue light more than red."])]
    [1, 0]
    """
    return default_model().rank(question, answers)


def compare(question: QuestionLike, a: str, b: str) -> float:
    """Return the probability that answer `a` is better than answer `b`; see `PreferenceModel.compare`.

    >>> compare("Why is the sky blue?", "Air scatters blue light more than red.", "Yes.") > 0.5
    True
    """
    return default_model().compare(question, a, b)


def explain(question: QuestionLike, answer: str, other: str | None = None) -> Explanation:
    """Return the parts of an answer's score, or of its lead over another; see `PreferenceModel.explain`.

    >>> explain("Why is the sky blue?", "Air scatters blue light more than red.", "Yes.").probability > 0.5
    True
    """
    return default_model().explain(question, answer, other)
