"""Which columns hold the question and the answers, and which columns the scores go to."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefmodel.arguments import as_list, one_text
from prefmodel.batch.json_text import json_value
from prefmodel.errors import InputError, shown
from prefmodel.files import Row
from prefmodel.model import Scores
from prefmodel.samples import answer_of, question_of
from prefmodel.types import Question


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns to read; those that are None are recognised.

    Recognised are `question`, or `prompt`, or the `messages` before the answer; and `answer` or `completion`,
    `answers`, both `chosen` and `rejected`, or the last of `messages` if it is the assistant's. Questions are text or
    messages with role and content. Answers are text, messages of which the last is the assistant's, or, in `answers`,
    objects with `text`. Where `chosen` and `rejected` are whole dialogues, what they begin with alike is the question.
    In CSV and TSV `answers` and messages, in whatever column, are JSON, and an empty cell is no value.

    Args:
        question: column of the question.
        answer: column of one answer.
        answers: column of a list of answers.
        chosen: column of the preferred answer.
        rejected: column of the other one.

    Raises:
        InputError: `chosen` is named and `rejected` is not, or the other way round.
    """

    question: str | None = None
    answer: str | None = None
    answers: str | None = None
    chosen: str | None = None
    rejected: str | None = None

    def __post_init__(self) -> None:
        for what, name in self.named.items():
            if not isinstance(name, str):
                raise InputError(f"{what} is {shown(name)}; allowed: the name of a column")
        if (self.chosen is None) != (self.rejected is None):
            raise InputError(
                f"chosen is {shown(self.chosen)} and rejected {shown(self.rejected)}; allowed: both or none"
            )

    @property
    def named(self) -> dict[str, str]:
        """The columns that were named, by what they hold."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


@dataclass(frozen=True, slots=True)
class Additions:
    """What goes to a row beside its scores, and which answers are kept.

    Args:
        contributions: add the parts of each score, by name.
        truncated: add how many tokens of question and answer the model did not see.
        top_k: of `answers`, keep so many, best first. Rows without `answers` are then bad rows.
        min_score: keep rows with an `answer`, or a `chosen`, that scores at least this, in logits; and such `answers`.
            Where answers may be left out, `answers_kept` has the places, from 0, that the others had.

    Raises:
        InputError: `top_k` is below 1, or `min_score` is no finite number.
    """

    contributions: bool = False
    truncated: bool = False
    top_k: int | None = None
    min_score: float | None = None

    def __post_init__(self) -> None:
        if self.top_k is not None and (not isinstance(self.top_k, int) or self.top_k < 1):
            raise InputError(f"top_k is {shown(self.top_k)}; allowed: a whole number, 1 or more")
        if self.min_score is not None and not math.isfinite(self.min_score):
            raise InputError(f"min_score is {self.min_score}; allowed: a number")


@dataclass(frozen=True, slots=True)
class Texts:
    """A row's question and answers.

    Args:
        question: what was asked.
        answers: the answers by what they are: answer, answers, chosen, rejected.
        columns: the column of each, by the same names.
    """

    question: Question
    answers: dict[str, list[str]]
    columns: dict[str, str]

    @property
    def all(self) -> list[str]:
        """All answers, in order."""
        return [text for texts in self.answers.values() for text in texts]


def texts_of(row: Row, columns: Columns | None = None, cells: bool = False) -> Texts:
    """Return the question and the answers of a row.

    Args:
        row: the columns.
        columns: which of them to read.
        cells: all values are text, as in CSV and TSV.

    Raises:
        InputError: there is no question or no answer, or one of them is not what is allowed.

    >>> texts_of({"question": "Why?", "chosen": "Because.", "rejected": "No."}).answers
    {'chosen': ['Because.'], 'rejected': ['No.']}
    >>> texts_of({"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]}).answers
    {'answer': ['So.']}
    """
    if cells:
        row = {name: _messages_in(value) for name, value in row.items()}
    named = columns.named if columns else {}
    missing = next((name for name in named.values() if name not in row), None)
    if missing is not None:
        raise InputError(f"there is no column {shown(missing)}; allowed: {names_of(row)}")
    asked = named.pop("question", None)
    recognised = _recognised(row, cells)
    # A table has all columns in all rows, and a value in those that count; of a pair both count.
    there = {what for what, column in recognised.items() if _there(row[column], cells)}
    pair = {"chosen", "rejected"}
    there |= pair if there & pair else set()
    of_answers = named or {what: column for what, column in recognised.items() if what in there}
    if not of_answers and _there(row.get("messages"), cells):
        return _dialogue(row, asked)
    of_answers = of_answers or dict(list(recognised.items())[:1])
    if not of_answers:
        raise InputError(f"columns are {names_of(row)}; allowed: answer, answers, or both chosen and rejected")
    name = asked or next((n for n in ("question", "prompt", "messages") if _there(row.get(n), cells)), None)
    if name is None and "chosen" in of_answers:
        return _two_dialogues(row, of_answers)
    answers = {
        what: _answers(row[c], c) if what == "answers" else [_answer(row[c], c)] for what, c in of_answers.items()
    }
    return Texts(_question(row, name or "question"), answers, of_answers)


def with_scores(row: Row, texts: Texts, scores: Scores, names: Sequence[str], additions: Additions) -> Row | None:
    """Return a row with what was computed for it, or None where none of its answers is kept.

    A row gets `score`, `scores`, or `score_chosen`, `score_rejected` and `score_margin`, their difference in logits.
    The `margin` of a pair is another thing, the one that training asks for, and stays.

    Args:
        row: the columns.
        texts: its question and answers.
        scores: of its answers, in order.
        names: of the contributions.
        additions: what goes to the row beside its scores.

    >>> one = Scores(np.float32([0.5]), np.float32([[0.5]]), np.array([0]), np.array([3]))
    >>> row = {"question": "Why?", "answer": "Because."}
    >>> with_scores(row, texts_of(row), one, ["general"], Additions(truncated=True))
    {'question': 'Why?', 'answer': 'Because.', 'question_cut': 0, 'score': 0.5, 'answer_cut': 3}
    """
    row, start = dict(row), 0
    if additions.truncated:
        row["question_cut"] = int(scores.question_cut[0]) if len(scores) else 0
    for what, column in texts.columns.items():
        stop = start + len(texts.answers[what])
        values = _shortest(scores.scores[start:stop])
        added: dict[str, list[Any]] = {_SCORE[what]: values}
        if additions.contributions:
            parts = scores.contributions[start:stop]
            added[_CONTRIBUTIONS[what]] = [dict(zip(names, _shortest(part), strict=True)) for part in parts]
        if additions.truncated:
            added[f"{what}_cut"] = scores.answer_cut[start:stop].tolist()
        kept = list(range(len(values))) if what == "rejected" else _kept(values, additions)
        if not kept and (values or additions.min_score is not None):
            return None
        if what == "answers":
            if kept != list(range(len(values))):
                everything = as_list(_listed(row[column])) or []
                some = [everything[i] for i in kept]
                row[column] = json.dumps(some, ensure_ascii=False) if isinstance(row[column], str) else some
            if additions.top_k is not None or additions.min_score is not None:
                row["answers_kept"] = kept
            row |= {name: [found[i] for i in kept] for name, found in added.items()}
        else:
            row |= {name: found[0] for name, found in added.items()}
        start = stop
    if "chosen" in texts.columns:
        row["score_margin"] = row["score_chosen"] - row["score_rejected"]
    return row


_SCORE = {"answer": "score", "answers": "scores", "chosen": "score_chosen", "rejected": "score_rejected"}
_CONTRIBUTIONS = {what: re.sub("scores?", "contributions", name) for what, name in _SCORE.items()}


def _there(value: object, cells: bool) -> bool:
    """Tell whether a row has a value in a column; a table of text has an empty cell where it has none."""
    return value is not None and not (cells and value == "")


def _recognised(row: Row, cells: bool) -> dict[str, str]:
    found: dict[str, str] = {what: what for what in ("answer", "answers") if what in row}
    if "completion" in row and not _there(row.get("answer"), cells):
        found["answer"] = "completion"
    if "chosen" in row and "rejected" in row:
        found |= {"chosen": "chosen", "rejected": "rejected"}
    return found


def _question(row: Row, name: str) -> Question:
    return question_of(_listed(row.get(name)) if name == "messages" else row.get(name), name)


def _dialogue(row: Row, asked: str | None) -> Texts:
    """Return the last message as the answer to those before, or to the question in the column `asked`."""
    turns = as_list(_listed(row["messages"]))
    if not turns or len(turns) < 2:
        raise InputError(f"messages is {shown(turns)}; allowed: a question and, last, the assistant's answer")
    question = _question(row, asked) if asked not in (None, "messages") else question_of(turns[:-1], "messages")
    return Texts(question, {"answer": [_answer(turns[-1:], "messages")]}, {"answer": "messages"})


def _two_dialogues(row: Row, columns: dict[str, str]) -> Texts:
    """Return the last messages of two dialogues as answers to what the dialogues begin with alike."""
    chosen, rejected = (as_list(_listed(row[columns[what]])) for what in ("chosen", "rejected"))
    if chosen is None or rejected is None:
        raise InputError(f"columns are {names_of(row)}; allowed: a question, or chosen and rejected as whole dialogues")
    if not chosen or chosen[:-1] != rejected[:-1]:
        raise InputError("chosen and rejected differ before their last message; allowed: the same question in both")
    answers = {
        what: [_answer(turns[-1:], columns[what])] for what, turns in (("chosen", chosen), ("rejected", rejected))
    }
    return Texts(question_of(chosen[:-1], "chosen"), answers, {what: columns[what] for what in answers})


def _answer(value: object, name: str) -> str:
    """Return an answer: text, or the last of some messages."""
    if as_list(value) is None:
        return one_text(value, name)
    text = answer_of(value, name)
    if not text.strip():
        raise InputError(f"{name} is {shown(value)}; allowed: messages of which the last is the assistant's, with text")
    return text


def _answers(value: object, name: str) -> list[str]:
    answers = as_list(_listed(value))
    if answers is None:
        raise InputError(f"{name} is {shown(value)}; allowed: a list of texts")
    texts = [item.get("text") if isinstance(item, dict) else item for item in answers]
    return [one_text(text, f"{name}[{i}]") for i, text in enumerate(texts)]


def _listed(value: object) -> object:
    """Return text as the JSON list that it may be in a table; columns of answers or messages hold no other text."""
    try:
        return json_value(value) if isinstance(value, str) and value.lstrip().startswith("[") else value
    except ValueError:
        return value


def _messages_in(cell: object) -> object:
    """Return the messages that a cell of a table holds as JSON; what else looks like JSON may be an answer's text."""
    listed = _listed(cell)
    is_dialogue = isinstance(listed, list) and listed and all(isinstance(m, dict) and "role" in m for m in listed)
    return listed if is_dialogue else cell


def names_of(row: Row) -> str:
    """Return the names of a row's columns for an error text, of many the first."""
    names = " ".join(", ".join(row).split())
    return names if len(names) <= 200 else f"{names[:200]}..."


def _kept(values: list[float], additions: Additions) -> list[int]:
    """Return the indices of the answers to keep."""
    least = -math.inf if additions.min_score is None else additions.min_score
    kept = [i for i, value in enumerate(values) if value >= least]
    return kept if additions.top_k is None else sorted(kept, key=lambda i: -values[i])[: additions.top_k]


def _shortest(values: NDArray[np.float32]) -> list[float]:
    """Return float32 values as the floats with the fewest digits that stand for them."""
    return [float(text) for text in values.astype(str)]
