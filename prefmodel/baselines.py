"""Scorers without a model, which a model has to beat: the longer answer, and BM25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefmodel.errors import missing_extra
from prefmodel.splits import question_text
from prefmodel.types import Question


def longer(questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
    """Return the characters of each answer as its score, float32 [n].

    >>> longer(["Why?", "Why?"], ["Because.", ""])
    array([8., 0.], dtype=float32)
    """
    return np.array([len(answer) for answer in answers], np.float32)


def bm25(questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
    """Return the BM25 score of each answer for its question as the query, float32 [n].

    Word weights come from all distinct answers of the call, so give it a whole file at once. English stop words and
    words of one character are left out, nothing is stemmed, and a word that repeats in the question counts again.

    Raises:
        MissingExtraError: bm25s is not installed.

    >>> scores = bm25(["What colour is the sky?"] * 2, ["The sky is blue.", "Grass is green."])
    >>> bool(scores[0] > scores[1])
    True
    """
    library = _bm25s()
    documents = {answer: number for number, answer in enumerate(dict.fromkeys(answers))}
    tokens = _tokens(library, list(documents))
    if not any(tokens):  # bm25s cannot index documents without a single word
        return np.zeros(len(answers), np.float32)
    index = library.BM25()
    index.index(tokens, show_progress=False)

    rows: dict[Question, list[int]] = {}
    for row, question in enumerate(questions):
        rows.setdefault(question, []).append(row)
    queries = _tokens(library, [question_text(question) for question in rows])
    scores = np.zeros(len(answers), np.float32)
    for query, own in zip(queries, rows.values(), strict=True):
        known = index.get_tokens_ids(query)
        scores[own] = index.get_scores_from_ids(known)[[documents[answers[row]] for row in own]]
    return scores


def _tokens(library: Any, texts: list[str]) -> list[list[str]]:
    split: list[list[str]] = library.tokenize(texts, stopwords="english", return_ids=False, show_progress=False)
    return split


def _bm25s() -> Any:
    # Imported late: evaluation without BM25, and all the rest of the package, works without the extra.
    try:
        import bm25s
    except ImportError:
        raise missing_extra("the BM25 baseline", "evaluate") from None
    return bm25s
