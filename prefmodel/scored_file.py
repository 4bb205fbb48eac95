"""Scores of every row of a file, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from prefmodel.arguments import as_list, one_question, one_text
from prefmodel.errors import FileFormatError, InputError, shown
from prefmodel.files import Row, read_rows, write_rows
from prefmodel.model import PreferenceModel, Scores
from prefmodel.types import Question

CHUNK_ROWS = 1024
"""Rows held in memory and scored together; enough to fill batches of similar length."""


@dataclass(slots=True)
class Summary:
    """How many rows were scored, and of how many the model saw a question or an answer only in part."""

    rows: int = 0
    cut: int = 0


def score_file(
    model: PreferenceModel, path: str | Path, output: str | Path | None, echo: Callable[[Row], None]
) -> Summary:
    """Add scores to the rows of a file.

    Args:
        model: the model.
        path: `.jsonl`, `.jsonl.gz` or `.parquet`. Each row has a `question` (text or messages; pairs in Parquet have
            `messages`), and `answer`, `answers` (texts, or objects with `text`), or `chosen` and `rejected`.
        output: the file to write, whole or not at all; it has all columns, in order, and those that `scored` adds.
        echo: gets the rows one by one where there is no `output`.

    Raises:
        FileFormatError: a file cannot be read or written, or a row is not as above; the text names file and line.
    """
    summary = Summary()
    rows = _scored_rows(model, path, summary)
    if output is not None:
        write_rows(output, rows)
    else:
        for row in rows:
            echo(row)
    return summary


def candidates(row: Row) -> dict[str, list[str]]:
    """Return the answers of a row by column.

    Raises:
        InputError: a column holds something else, or there is none.

    >>> candidates({"question": "Why?", "chosen": "Because.", "rejected": "No."})
    {'chosen': ['Because.'], 'rejected': ['No.']}
    """
    single = ("answer", "chosen", "rejected")
    found: dict[str, list[str]] = {name: [one_text(row[name], name)] for name in single if name in row}
    if "answers" in row:
        found["answers"] = [one_text(_text_of(item), f"answers[{i}]") for i, item in enumerate(_answers(row))]
    if not found or ("chosen" in found) != ("rejected" in found):
        raise InputError(f"columns are {', '.join(row)}; allowed: answer, answers, or both chosen and rejected")
    return found


def scored(row: Row, scores: dict[str, list[float]]) -> Row:
    """Return a row with its scores: `score`, `scores`, or `score_chosen`, `score_rejected` and `score_margin`.

    Not `margin`: pairs have a column of that name, and it says how far apart scores should be.

    >>> scored({"chosen": "Because."}, {"chosen": [1.5], "rejected": [1.0]})
    {'chosen': 'Because.', 'score_chosen': 1.5, 'score_rejected': 1.0, 'score_margin': 0.5}
    """
    row = dict(row)
    if "answer" in scores:
        row["score"] = scores["answer"][0]
    if "answers" in scores:
        row["scores"] = scores["answers"]
    if "chosen" in scores:
        row["score_chosen"], row["score_rejected"] = scores["chosen"][0], scores["rejected"][0]
        row["score_margin"] = row["score_chosen"] - row["score_rejected"]
    return row


def _scored_rows(model: PreferenceModel, path: str | Path, summary: Summary) -> Iterator[Row]:
    # With disable=None the bar shows only on a terminal.
    with tqdm(unit=" rows", disable=None) as bar:
        rows = read_rows(path)
        while chunk := list(islice(rows, CHUNK_ROWS)):
            checked = [_checked(path, number, row) for number, row in chunk]
            questions = [q for q, found in checked for texts in found.values() for _ in texts]
            answers = [text for _, found in checked for texts in found.values() for text in texts]
            scores = model.score_batch(questions, answers)
            start = 0
            for (_, row), (_, found) in zip(chunk, checked, strict=True):
                by_column, stop = {}, start
                for name, texts in found.items():
                    by_column[name] = scores.scores[stop : stop + len(texts)].tolist()
                    stop += len(texts)
                summary.rows += 1
                summary.cut += _any_cut(scores, start, stop)
                start = stop
                yield scored(row, by_column)
            bar.update(len(chunk))


def _checked(path: str | Path, number: int, row: Row) -> tuple[Question, dict[str, list[str]]]:
    try:
        question = row.get("question")
        if question is None and row.get("messages") is not None:
            question = row["messages"]
        return one_question(question, "question"), candidates(row)
    except InputError as error:
        raise FileFormatError(f"{path}, line {number}: {error}") from None


def _answers(row: Row) -> list[object]:
    answers = as_list(row["answers"])
    if answers is None:
        raise InputError(f"answers is {shown(row['answers'])}; allowed: a list of texts")
    return answers


def _text_of(item: object) -> object:
    """Return the text of an answer of a thread, and other values as they are."""
    return item.get("text") if isinstance(item, dict) else item


def _any_cut(scores: Scores, start: int, stop: int) -> bool:
    return bool(scores.question_cut[start:stop].any() or scores.answer_cut[start:stop].any())
