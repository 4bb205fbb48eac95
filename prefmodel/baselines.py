"""Scorers that a preference model has to beat: the longer answer, BM25, readability, likeness to the question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefmodel.errors import missing_extra
from prefmodel.sentence_encoder import SentenceEncoder
from prefmodel.splits import question_text
from prefmodel.types import Question


def longer(questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
    """Return the characters of each answer as its score, float32 [n].

    >>> longer(["Why?", "Why?"], ["Because.", ""])
    array([8., 0.], dtype=float32)
    """
    return np.array([len(answer) for answer in answers], np.float32)


_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile(r"[.!?]+(?=\s|$)|\n+")


def readability(questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
    """Return minus the automated readability index of each answer, float32 [n]: what is easier to read scores higher.

    The index is 4.71 characters per word + .5 words per sentence - 21.43: about the school year that it takes. A text
    without words scores as the hardest.

    Source: Smith & Senter, Automated readability index, AMRL-TR-66-220, 1967.

    >>> easy, hard = readability(["Why?"] * 2, ["It is so. We saw it.", "Notwithstanding considerable uncertainty"])
    >>> bool(easy > hard)
    True
    """
    return np.array([-_grade(answer) for answer in answers], np.float32)


_HARDEST = 100.0
"""Grade of a text without words: no school teaches it."""


def _grade(text: str) -> float:
    found = _WORD.findall(text)
    if not found:
        return _HARDEST
    ends = max(1, len(_SENTENCE_END.findall(text.strip())))
    return 4.71 * sum(map(len, found)) / len(found) + 0.5 * len(found) / ends - 21.43


@dataclass(frozen=True, slots=True)
class Likeness:
    """The cosine of question and answer in the space of a sentence encoder, as a scorer.

    Args:
        encoder: makes the vectors.

    Example: `Likeness(SentenceEncoder("sentence-transformers/all-MiniLM-L6-v2"))(["Why?"], ["Because."])`.
    """

    encoder: SentenceEncoder

    def __call__(self, questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
        """Return the cosine of each question and its answer, float32 [n]."""
        texts = [question_text(question) for question in questions]
        distinct = {text: i for i, text in enumerate(dict.fromkeys([*texts, *answers]))}
        vectors = self.encoder.encode(list(distinct))
        sides = (vectors[[distinct[text] for text in side]] for side in (texts, answers))
        return np.asarray(np.einsum("ij,ij->i", *sides), np.float32)


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
