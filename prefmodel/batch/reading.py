"""Rows of a source in chunks of bounded size, from any place on; what is no row is told, never skipped."""

from __future__ import annotations

import csv
import gzip
import hashlib
import math
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

from prefmodel.batch.json_text import json_value
from prefmodel.batch.sources import STDIN, Source
from prefmodel.errors import FileFormatError, one_line, shown
from prefmodel.files import Row

CHUNK_BYTES = 16 << 20
"""A chunk of long rows ends here."""
MAX_LINE = 16 << 20
"""Bytes of the longest row that is read. One text of this length takes the tokenizer about 2 GB."""

UTF8_BOM = b"\xef\xbb\xbf"


class SourceError(FileFormatError):
    """A source cannot be read (on): it is damaged, cut off, not what it was, or has a bad row where none is allowed."""

    source = 0
    """Index of the source."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a source, or what stands where a row should be.

    Args:
        line: where it begins, from 1; in Parquet the number of the row.
        row: the columns, or None.
        problem: why there is no row.
        text: in place of a row, what stands there; of more than `MAX_LINE` bytes the beginning.
    """

    line: int
    row: Row | None
    problem: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some records of one source, in order.

    Args:
        source: index of the source.
        name: what messages call the source.
        records: the records.
        end: records of this source up to the end of this chunk.
        digest: SHA-256, in hex, of the text of this source up to there; of the whole file if it is Parquet.
        position: bytes of the source that were read up to there, about; for showing progress.
        table: the records as a `pyarrow.Table`, if the source is Parquet.
        columns: names of the columns, where the source says them before its rows.
        cells: whether all values are text, as in CSV and TSV, where lists are JSON.
    """

    source: int
    name: str
    records: list[Record]
    end: int
    digest: str
    position: int
    table: Any = None
    columns: Sequence[str] = ()
    cells: bool = False


def read_chunks(index: int, source: Source, rows: int, skip: int = 0, digest: str = "") -> Iterator[Chunk]:
    """Yield the records of one source in chunks; of a source without rows, one chunk without records.

    Args:
        index: index of the source, for the chunks.
        source: what to read.
        rows: how many records a chunk has at most.
        skip: records to leave out, which were read before.
        digest: of the chunk that ended there; the text that is left out must have it.

    Raises:
        SourceError: the source cannot be read (on), or its beginning is not that of before.
        MissingExtraError: a Parquet file, and pyarrow is not installed.

    >>> import tempfile; path = tempfile.mkdtemp() + "/rows.csv"
    >>> _ = open(path, "w").write("question,answer\\nWhy?,Because.\\n")
    >>> [record.row for chunk in read_chunks(0, Source(path, ".csv"), 256) for record in chunk.records]
    [{'question': 'Why?', 'answer': 'Because.'}]
    """
    if source.suffix == ".parquet":
        from prefmodel.batch.parquet_reading import read_parquet

        yield from read_parquet(index, source, rows, skip, digest)
        return
    with _Text(source) as text:
        cells = not source.suffix.startswith(".jsonl")
        records = _table_records(text, source.suffix) if cells else _json_records(text)
        end = sum(1 for _ in _taken(text, records, skip))
        if skip and (end < skip or text.digest() != digest):
            raise not_what_it_was(source, skip)
        while chunk := list(_taken(text, records, rows, CHUNK_BYTES)):
            end += len(chunk)
            place = end, text.digest(), text.position()
            yield Chunk(index, source.name, chunk, *place, columns=text.columns, cells=cells)
        if not end:
            yield Chunk(index, source.name, [], 0, text.digest(), text.position(), columns=text.columns)


def not_what_it_was(source: Source, rows: int) -> SourceError:
    """Return the error that the beginning of a source has changed."""
    return SourceError(
        f"{source.name}: its first {rows} rows are not those that were scored before; start over with --restart"
    )


def _taken(text: _Text, records: Iterator[Record], count: int, most: float = math.inf) -> Iterator[Record]:
    """Yield up to `count` records of a text, and no more than about `most` bytes of it."""
    start = text.bytes
    while count > 0 and text.bytes - start < most:
        try:
            record = next(records)
        except StopIteration:
            return
        text.end_record()
        yield record
        count -= 1


class _Text:
    """The lines of a source, with the SHA-256 of all up to the last record; blank lines behind it do not count."""

    def __init__(self, source: Source):
        self.source = source
        self.line = 0
        self.bytes = 0
        self.columns: list[str] = []
        """Names that stand in the first row of a table, once it was read."""
        self._hash = hashlib.sha256()
        self._hash_of_records = self._hash.copy()
        self._open = ExitStack()

    def __enter__(self) -> _Text:
        if self.source.path == STDIN and sys.stdin is None:
            raise SourceError("standard input is closed")
        try:
            self._plain: IO[bytes] = (
                sys.stdin.buffer
                if self.source.path == STDIN
                else self._open.enter_context(open(self.source.path, "rb"))
            )
        except OSError as error:
            raise SourceError(f"{self.source.name}: {error.strerror}") from None
        zipped = self.source.suffix.endswith(".gz")
        self._file = gzip.GzipFile(fileobj=self._plain, mode="rb") if zipped else self._plain
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines; of one over `MAX_LINE` the first `MAX_LINE` + 1 bytes."""
        while line := self._readline():
            self.line += 1
            kept = line
            while len(line) > MAX_LINE and not line.endswith(b"\n"):
                line = self._readline()
            yield kept.removeprefix(UTF8_BOM) if self.line == 1 else kept

    def end_record(self) -> None:
        self._hash_of_records = self._hash.copy()

    def digest(self) -> str:
        return self._hash_of_records.hexdigest()

    def position(self) -> int:
        return 0 if self.source.path == STDIN else self._plain.tell()

    def _readline(self) -> bytes:
        try:
            line = self._file.readline(MAX_LINE + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise SourceError(f"{self.source.name}, after line {self.line}: {one_line(error)}") from None
        self._hash.update(line)
        self.bytes += len(line)
        return line


def _json_records(text: _Text) -> Iterator[Record]:
    for line in text:
        if not line.strip():
            continue
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"the line has over {MAX_LINE} bytes")
            row = json_value(line.decode())
            if not isinstance(row, dict):
                raise ValueError(f"found {shown(row)}")
        except ValueError as error:
            yield Record(text.line, None, f"not a JSON object: {one_line(error)}", _as_text(line))
        else:
            yield Record(text.line, row)


def _table_records(text: _Text, suffix: str) -> Iterator[Record]:
    """Yield the records of CSV or TSV with quotes as in RFC 4180; the first row has the names of the columns."""
    read = bytearray()

    def decoded(line: bytes) -> str:
        read.extend(line)
        if len(read) > MAX_LINE:
            raise csv.Error(f"it has over {MAX_LINE} bytes")
        return line.decode("utf-8", "surrogateescape")

    csv.field_size_limit(MAX_LINE)
    rows = csv.reader(map(decoded, text), delimiter="\t" if suffix == ".tsv" else ",", strict=True)
    while True:
        line = text.line + 1
        read.clear()
        try:
            fields = next(rows)
            if not fields:  # a blank line
                continue
            problem = _text_problem(fields) or (_count_problem(fields, text.columns) if text.columns else None)
        except StopIteration:
            return
        except csv.Error as error:
            fields, problem = [], f"not a row of {suffix[1:].upper()}: {one_line(error)}"
        if not text.columns:
            text.columns = _header(text.source, fields, problem)
        elif problem:
            lines = f" (lines {line} to {text.line})" if text.line > line else ""
            yield Record(line, None, problem + lines, _as_text(read))
        else:
            yield Record(line, dict(zip(text.columns, fields, strict=True)))


def _header(source: Source, fields: list[str], problem: str | None) -> list[str]:
    if len(fields) == 1 and (mark := next((m for m in ";\t|" if m in fields[0]), None)):
        problem = (
            f"one column, {shown(fields[0])}, as of a table separated by {mark!r}; allowed: a comma, in .tsv a tab"
        )
    if problem := problem or repeated(fields):
        raise SourceError(f"{source.name}, first row: {problem}")
    return fields


def repeated(names: Sequence[str]) -> str | None:
    """Return what is wrong with names of columns of which two are alike, or None.

    >>> repeated(["a", "b", "a"])
    "two columns are called 'a'"
    """
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    return None if twice is None else f"two columns are called {shown(twice)}"


def _count_problem(fields: list[str], names: list[str]) -> str | None:
    return None if len(fields) == len(names) else f"{len(fields)} fields; allowed: {len(names)}, as in the first row"


def _text_problem(fields: list[str]) -> str | None:
    for field in fields:
        try:
            field.encode()
        except UnicodeEncodeError:
            return f"not UTF-8: {shown(field.encode('utf-8', 'surrogateescape'))}"
    return None


def _as_text(data: bytes | bytearray) -> str:
    kept = data if len(data) <= MAX_LINE else data[:1000]
    return kept.decode("utf-8", "replace").rstrip("\r\n")
