"""Finished rows on their way to a file: what is appended while scoring goes on, and how it becomes the file."""

from __future__ import annotations

import base64
import csv
import gzip
import json
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prefmodel import files
from prefmodel.batch.sources import FORMATS
from prefmodel.files import Row, format_of


@dataclass(frozen=True, slots=True)
class Rows:
    """Finished rows of one chunk.

    Args:
        rows: the rows, with their scores.
        table: the chunk as it was read, if it was Parquet: a `pyarrow.Table`.
        places: the index in `table` of each row.
        changed: columns of `table` that are not as they were read.
        columns: names of the columns that were read, where the source says them before its rows.
        like: where none is kept, the rows with their scores; only what columns they have counts.
    """

    rows: list[Row]
    table: Any = None
    places: Sequence[int] = ()
    changed: Set[str] = frozenset()
    columns: Sequence[str] = ()
    like: Rows | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """How rows become a file of one format.

    Args:
        pack: returns the bytes to append for some rows. Bytes of the same rows are the same.
        finish: makes the file out of all bytes that were appended; it returns warnings for the user. None where
            those bytes are the file.
    """

    pack: Callable[[Rows], bytes]
    finish: Callable[[Path, Path], list[str]] | None = None


def output_for(path: str | Path) -> Output:
    """Return how rows become the file at `path`, by its ending.

    Raises:
        FileFormatError: the ending is none of `FORMATS`.
        MissingExtraError: Parquet, and pyarrow is not installed.

    >>> output_for("scored.jsonl").pack(Rows([{"question": "Why?", "score": 0.5}]))
    b'{"question": "Why?", "score": 0.5}\\n'
    """
    suffix = format_of(path, FORMATS)
    if suffix == ".jsonl":
        return Output(json_lines)
    if suffix == ".jsonl.gz":
        # One gzip member a chunk; all readers of gzip take them as one file. No time in the header.
        return Output(lambda rows: gzip.compress(json_lines(rows), 6, mtime=0))
    if suffix == ".parquet":
        from prefmodel.batch.parquet import finish, pack

        return Output(pack, finish)
    return Output(_json_lines_or_names, _finish_tsv if suffix == ".tsv" else _finish_csv)


def json_lines(rows: Rows) -> bytes:
    """Return rows as JSON lines."""
    return b"".join(json_line(row) for row in rows.rows)


def _json_lines_or_names(rows: Rows) -> bytes:
    """Return rows as JSON lines; where there is none, the names of the columns, as tables have also without rows."""
    others = rows.like.rows if rows.like else []
    names = dict.fromkeys((*rows.columns, *(name for row in others for name in row)))
    return json_lines(rows) or (json.dumps(list(names)).encode() + b"\n" if names else b"")


def json_line(row: Row) -> bytes:
    """Return a row as one line of JSON.

    Lone surrogates, which UTF-8 cannot hold, stay escaped. Of the types that Parquet has beside those of JSON, dates
    and times become ISO 8601, bytes base64, decimals and others their text.

    >>> json_line({"question": "Why?", "asked": date(2026, 1, 31)})
    b'{"question": "Why?", "asked": "2026-01-31"}\\n'
    """
    return files.json_line(row, _as_json)


def _as_json(value: Any) -> Any:
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def _finish_csv(parts: Path, output: Path) -> list[str]:
    return _finish_table(parts, output, ",")


def _finish_tsv(parts: Path, output: Path) -> list[str]:
    return _finish_table(parts, output, "\t")


def _finish_table(parts: Path, output: Path, delimiter: str) -> list[str]:
    """Write JSON lines as a table with all columns that occur; values that are no text or number become JSON."""
    columns: dict[str, None] = {}
    for row in _rows_and_names(parts):
        columns |= dict.fromkeys(row)
    # UTF-8 cannot hold lone surrogates: a question mark stands for each, as everywhere where text is written.
    with open(output, "w", encoding="utf-8", errors="replace", newline="") as file:
        # With "\r\n" as the end of its lines, csv puts texts with either character in quotes. We end them with "\n".
        unix = SimpleNamespace(write=lambda line: file.write(line[:-2] + "\n"))
        writer = csv.writer(unix, delimiter=delimiter, lineterminator="\r\n")
        if columns:
            writer.writerow(columns)
        for row in _rows_and_names(parts):
            if isinstance(row, dict):
                writer.writerow([_cell(row.get(name)) for name in columns])
    return []


def _rows_and_names(parts: Path) -> Iterator[Row | list[str]]:
    with open(parts, "rb") as file:
        for line in file:
            yield json.loads(line)


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
