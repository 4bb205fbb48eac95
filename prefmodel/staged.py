"""Ranking in two stages: a cheap one scores all answers, the deep model only those whose order is unclear."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from prefmodel.arguments import QuestionLike, as_list, one_question, one_text
from prefmodel.errors import InputError, shown
from prefmodel.model import Ranked
from prefmodel.types import Question

FLOAT = NDArray[np.float64]


class Scorer(Protocol):
    """What scores the answers to one question; `PreferenceModel` does."""

    def score(self, question: Any, answers: Any, /) -> Any:
        """Return n scores for one question and a list of n answers; higher is better."""


@dataclass(frozen=True, slots=True)
class StagedRanked(Ranked):
    """One answer of a ranking in two stages; scores are comparable only among those with the same `deep`.

    Args:
        deep: whether `score` is that of the deep model; else it is that of the first stage.
    """

    deep: bool


class StagedRanker:
    """Ranks the answers to a question: `first` scores all, `model` those that may still be among the best.

    An answer may be among the best when its first score is at most `margin` below the k-th best, where k answers are
    wanted. Where that is one answer alone, its place is clear, and `model` is not asked. If no difference of two first
    scores is further than `margin` from that of the deep scores, the best k are those of `model`, in its order.

    Args:
        first: the cheap stage; for instance the same model reading less, or one with fewer layers.
        model: the deep model.
        margin: logits of `first`, 0 or more; `calibrated_margin` finds one. With `math.inf`, `model` scores all.

    Raises:
        InputError: `margin` is not a number of 0 or more.

    Example:
        >>> from dataclasses import replace
        >>> from prefmodel.encoding import EncodingConfig
        >>> from prefmodel.model import PreferenceModel
        >>> model = PreferenceModel.from_pretrained()
        >>> short = EncodingConfig(max_tokens=64, question_tokens=24)
        >>> ranker = StagedRanker(PreferenceModel(replace(model.bundle, encoding=short)), model, margin=3.0)
        >>> answers = ["Paris is in France.", "Boil it until it is done.", "Six minutes for a runny yolk."]
        >>> [(ranked.index, ranked.deep) for ranked in ranker.rank("How long should I boil an egg?", answers)]
        [(2, True), (1, True), (0, False)]
    """

    def __init__(self, first: Scorer, model: Scorer, margin: float):
        if isinstance(margin, bool) or not isinstance(margin, int | float) or not margin >= 0:
            raise InputError(f"margin is {shown(margin)}; allowed: a number of 0 or more")
        self.first, self.model, self.margin = first, model, float(margin)

    def rank(self, question: QuestionLike, answers: Sequence[str], top: int = 1) -> list[StagedRanked]:
        """Return all answers, best first: those that `model` scored, by its scores, then the others by their first.

        Args:
            question: one question.
            answers: n answers; those with equal scores keep their order.
            top: how many of the best are wanted.

        Raises:
            InputError: a text is empty or no text, `top` is not 1 or more, or a stage does not give n finite scores.
        """
        _check_top(top)
        asked, texts = one_question(question, "question"), _texts(answers, "answers")
        if not texts:
            return []
        scores = _scores(self.first, "first", asked, texts)
        deep = _behind(scores, top) <= self.margin
        if deep.sum() > 1:
            scores[deep] = _scores(self.model, "model", asked, [texts[i] for i in np.flatnonzero(deep)])
        else:
            deep[:] = False
        order = sorted(range(len(texts)), key=lambda i: (not deep[i], -scores[i]))
        return [StagedRanked(i, float(scores[i]), texts[i], bool(deep[i])) for i in order]


def calibrated_margin(
    first: Scorer,
    model: Scorer,
    questions: Iterable[tuple[QuestionLike, Sequence[str]]],
    top: int = 1,
    agreement: float = 0.99,
) -> float:
    """Return the smallest margin, in logits of `first`, at which a `StagedRanker` should agree with `model`.

    For each question it finds the margin at which the best `top` answers of `model` are all among those that `model`
    scores, and returns a quantile of them. On further questions of the same kind the best `top` are then those of
    `model` with a chance of `agreement` at least. No labels are needed.
    Source: split conformal prediction, as in arXiv 2107.07511, section 1.

    Args:
        first: the cheap stage.
        model: the deep model.
        questions: (question, answers) that neither stage was trained on, each with more than `top` answers.
        top: how many of the best are wanted.
        agreement: the chance, above 0 and below 1.

    Raises:
        InputError: an argument is not what is allowed, or there are too few questions for `agreement`.
    """
    _check_top(top)
    if isinstance(agreement, bool) or not isinstance(agreement, int | float) or not 0 < agreement < 1:
        raise InputError(f"agreement is {shown(agreement)}; allowed: above 0 and below 1")
    if not isinstance(questions, Iterable):
        raise InputError(f"questions is {shown(questions)}; allowed: pairs of a question and its answers")
    needed: list[float] = []
    for i, pair in enumerate(tqdm(questions, unit="question", disable=None)):
        both = as_list(pair)
        if both is None or len(both) != 2:
            raise InputError(f"questions[{i}] is {shown(pair)}; allowed: a question and its answers")
        asked, texts = one_question(both[0], f"questions[{i}]"), _texts(both[1], f"answers of questions[{i}]")
        if len(texts) <= top:
            raise InputError(
                f"questions[{i}] has {len(texts)} answers; allowed: {top + 1} or more, to find the best {top}"
            )
        best = np.argsort(-_scores(model, "model", asked, texts), kind="stable")[:top]
        needed.append(float(_behind(_scores(first, "first", asked, texts), top)[best].max()))
    place = math.ceil(round((len(needed) + 1) * agreement, 9))  # 100 * 0.55 is a little more than 55
    if place > len(needed):
        least = math.ceil(round(agreement / (1 - agreement), 9))
        raise InputError(f"there are {len(needed)} questions; allowed: {least} or more for an agreement of {agreement}")
    return sorted(needed)[place - 1]


def _behind(scores: FLOAT, top: int) -> FLOAT:
    """Return how far each of n scores is below the `top`-th best, float64 [n]; 0 for those that are not below it."""
    bar = np.sort(scores)[-min(top, len(scores))]
    return np.asarray(np.maximum(bar - scores, 0.0), np.float64)


def _scores(scorer: Scorer, name: str, question: Question, answers: list[str]) -> FLOAT:
    scores = np.array(scorer.score(question, answers), np.float64)
    if scores.shape != (len(answers),) or not np.isfinite(scores).all():
        raise InputError(f"{name} gives the scores {shown(scores)}; allowed: {len(answers)} finite numbers")
    return scores


def _texts(answers: object, name: str) -> list[str]:
    values = as_list(answers)
    if values is None:
        raise InputError(f"{name} is {shown(answers)}; allowed: a sequence of texts")
    return [one_text(text, f"{name}[{i}]") for i, text in enumerate(values)]


def _check_top(top: object) -> None:
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise InputError(f"top is {shown(top)}; allowed: 1 or more")
