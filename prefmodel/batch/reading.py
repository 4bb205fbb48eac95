"""Rows of a source in chunks of bounded size, from any place on; what is no row is told, never skipped."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

from prefmodel.batch.sources import STDIN, Source
from prefmodel.errors import FileFormatError, missing_extra, shown
from prefmodel.files import Row

CHUNK_ROWS = 1024
"""Rows that are held in memory and scored together; enough to fill batches of similar length."""
CHUNK_BYTES = 16 << 20
"""A chunk of long rows ends here."""
MAX_LINE = 64 << 20
"""Bytes of the longest line, and characters of the longest field, that is read as a row."""

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
        text: in place of a row, the beginning of what stands there.
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
        digest: SHA-256, in hex, of the text of this source up to there; "" for Parquet.
        position: bytes of the source that were read up to there, about; for showing progress.
        table: the records as a `pyarrow.Table`, if the source is Parquet.
    """

    source: int
    name: str
    records: list[Record]
    end: int
    digest: str
    position: int
    table: Any = None


def read_chunks(index: int, source: Source, skip: int = 0, digest: str = "") -> Iterator[Chunk]:
    """Yield the records of one source in chunks.

    Args:
        index: index of the source, for the chunks.
        source: what to read.
        skip: records to leave out, which were read before.
        digest: of the chunk that ended there; the text that is left out must have it.

    Raises:
        SourceError: the source cannot be read (on), or its beginning is not that of before.
        MissingExtraError: a Parquet file, and pyarrow is not installed.

    >>> import tempfile; path = tempfile.mkdtemp() + "/rows.csv"
    >>> _ = open(path, "w").write("question,answer\\nWhy?,Because.\\n")
    >>> [record.row for chunk in read_chunks(0, Source(path, ".csv")) for record in chunk.records]
    [{'question': 'Why?', 'answer': 'Because.'}]
    """
    if source.suffix == ".parquet":
        yield from _parquet_chunks(index, source, skip)
        return
    with _Text(source) as text:
        records = _json_records(text) if source.suffix.startswith(".jsonl") else _table_records(text, source.suffix)
        end, left = 0, skip
        for _ in _taken(records, left):
            end += 1
        if skip and (end < skip or text.digest() != digest):
            raise SourceError(f"{source.name}: its first {skip} rows are not those that were scored before")
        while chunk := list(_taken(records, CHUNK_ROWS, text)):
            end += len(chunk)
            yield Chunk(index, source.name, chunk, end, text.digest(), text.position())


def _taken(records: Iterator[Record], count: int, text: _Text | None = None) -> Iterator[Record]:
    """Yield up to `count` records, and no more than about `CHUNK_BYTES` of `text` where it is given."""
    start = text.bytes if text else 0
    while count > 0 and (text is None or text.bytes - start < CHUNK_BYTES):
        try:
            yield next(records)
        except StopIteration:
            return
        count -= 1


class _Text:
    """The lines of a source, with the SHA-256 of all that were read."""

    def __init__(self, source: Source):
        self.source = source
        self.line = 0
        self.bytes = 0
        self._hash = hashlib.sha256()
        self._open = ExitStack()

    def __enter__(self) -> _Text:
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

    def digest(self) -> str:
        return self._hash.hexdigest()

    def position(self) -> int:
        return 0 if self.source.path == STDIN else self._plain.tell()

    def _readline(self) -> bytes:
        try:
            line = self._file.readline(MAX_LINE + 1)
        except (EOFError, OSError, zlib.error) as error:
            raise SourceError(f"{self.source.name}, after line {self.line}: {_one_line(error)}") from None
        self._hash.update(line)
        self.bytes += len(line)
        return line


def _json_records(text: _Text) -> Iterator[Record]:
    for line in text:
        if line.isspace():
            continue
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"the line has over {MAX_LINE} bytes")
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"found {shown(row)}")
            yield Record(text.line, row)
        except (ValueError, RecursionError) as error:
            yield Record(text.line, None, f"not a JSON object: {_one_line(error)}", _beginning(line))


def _table_records(text: _Text, suffix: str) -> Iterator[Record]:
    """Yield the records of CSV or TSV with quotes as in RFC 4180; the first row has the names of the columns."""
    consumed: list[bytes] = []

    def lines() -> Iterator[str]:
        for line in text:
            consumed.append(line)
            yield line.decode("utf-8", "surrogateescape")

    csv.field_size_limit(MAX_LINE)
    rows = csv.reader(lines(), delimiter="\t" if suffix == ".tsv" else ",", strict=True)
    names: list[str] | None = None
    while True:
        line = text.line + 1
        consumed.clear()
        try:
            fields = next(rows)
            problem = _text_problem(fields) or (_count_problem(fields, names) if names else None)
        except StopIteration:
            return
        except csv.Error as error:
            fields, problem = [], f"not a row of {suffix[1:].upper()}: {_one_line(error)}"
        if not fields and not problem:
            continue
        if names is None:
            names = _header(text.source, fields, problem)
        elif problem:
            yield Record(line, None, problem, _beginning(b"".join(consumed)))
        else:
            yield Record(line, dict(zip(names, fields, strict=True)))


def _header(source: Source, fields: list[str], problem: str | None) -> list[str]:
    twice = next((name for name in fields if fields.count(name) > 1), None)
    if problem or twice is not None:
        raise SourceError(f"{source.name}, first row: {problem or f'two columns are called {shown(twice)}'}")
    return fields


def _count_problem(fields: list[str], names: list[str]) -> str | None:
    return None if len(fields) == len(names) else f"{len(fields)} fields; allowed: {len(names)}, as in the first row"


def _text_problem(fields: list[str]) -> str | None:
    escaped = next((f for f in fields if not f.isascii() and any("\udc80" <= c <= "\udcff" for c in f)), None)
    return None if escaped is None else f"not UTF-8: {shown(escaped.encode('utf-8', 'surrogateescape'))}"


def _parquet_chunks(index: int, source: Source, skip: int) -> Iterator[Chunk]:
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise missing_extra("a .parquet file", "batch") from None
    end = 0
    try:
        with parquet.ParquetFile(source.path) as file:
            for group in range(file.num_row_groups):
                # One group at a time: a run that begins with a later group has the same chunks.
                size = file.metadata.row_group(group).num_rows
                if end + size <= skip:
                    end += size
                    continue
                for batch in file.iter_batches(CHUNK_ROWS, row_groups=[group]):
                    end += batch.num_rows
                    if end > skip:
                        records = [Record(i, row) for i, row in enumerate(batch.to_pylist(), end - batch.num_rows + 1)]
                        position = source.bytes * end // file.metadata.num_rows
                        yield Chunk(index, source.name, records, end, "", position, arrow.Table.from_batches([batch]))
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{source.name}, after row {end}: {_one_line(error)}") from None


def _beginning(line: bytes) -> str:
    return line[:1000].decode("utf-8", "replace").rstrip("\r\n")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
