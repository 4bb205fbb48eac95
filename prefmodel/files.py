"""Threads, pairs and plain rows in files (`.jsonl`, `.jsonl.gz`, `.parquet`): streamed, written whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from prefmodel.errors import FileFormatError, InputError, missing_extra, one_line, shown
from prefmodel.types import PreferencePair, Thread

FORMATS = (".jsonl", ".jsonl.gz", ".parquet")
PARQUET_ROWS = 1024
"""Rows held in memory at once when a Parquet file is read or written."""

Row = dict[str, Any]
T = TypeVar("T")


def read_threads(path: str | Path) -> Iterator[Thread]:
    """Yield the threads of a file, one at a time.

    Raises:
        FileFormatError: the file is missing, has another format, or a line is no valid thread; the text names
            the file, the line and the field.
    """
    return _parsed(path, Thread.from_dict)


def read_pairs(
    path: str | Path, check: Callable[[PreferencePair], object] = lambda pair: None
) -> Iterator[PreferencePair]:
    """Yield the preference pairs of a file, one at a time.

    Args:
        path: of the file.
        check: raises InputError for a pair that has no place here.

    Raises:
        FileFormatError: as for `read_threads`, or what `check` raises, with the file and the line.
    """

    def parse(row: Row) -> PreferencePair:
        pair = PreferencePair.from_dict(_nested_pair(row))
        check(pair)
        return pair

    return _parsed(path, parse)


def write_threads(path: str | Path, threads: Iterable[Thread]) -> int:
    """Write threads to a file and return how many; the file appears whole or not at all."""
    return _write(path, (thread.to_dict() for thread in threads), _thread_schema)


def write_pairs(path: str | Path, pairs: Iterable[PreferencePair]) -> int:
    """Write pairs to a file and return how many; the file appears whole or not at all.

    Parquet columns have one type, so there a dialogue goes to the column `messages`, and `provenance` is JSON text.
    """
    rows = (pair.to_dict() for pair in pairs)
    return _write(path, map(_flat_pair, rows) if format_of(path) == ".parquet" else rows, _pair_schema)


def read_rows(path: str | Path) -> Iterator[tuple[int, Row]]:
    """Yield (line number from 1, row) of a file, whatever its columns.

    Raises:
        FileFormatError: the file is missing, has another format, or a line is not a JSON object.

    >>> import tempfile; path = tempfile.mkdtemp() + "/rows.jsonl.gz"
    >>> write_rows(path, [{"question": "Why?"}])
    1
    >>> list(read_rows(path))
    [(1, {'question': 'Why?'})]
    """
    suffix = format_of(path)
    if not Path(path).is_file():
        raise FileFormatError(f"{path}: no such file")
    return _read_parquet(path) if suffix == ".parquet" else _read_json_lines(path, suffix)


def write_rows(path: str | Path, rows: Iterable[Row]) -> int:
    """Write rows to a file and return how many; the file appears whole or not at all.

    The columns of a Parquet file and their types are those of the first 1,024 rows.
    """
    return _write(path, rows, lambda arrow: None)


def format_of(path: str | Path, allowed: Sequence[str] = FORMATS) -> str:
    """Return which of the allowed endings the name of `path` has; raise FileFormatError for another.

    >>> format_of("rows.jsonl.gz")
    '.jsonl.gz'
    """
    for suffix in allowed:
        if str(path).endswith(suffix):
            return suffix
    raise FileFormatError(f"{path}: unknown file type; allowed: {', '.join(allowed)}")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place when the block ends well and is removed otherwise."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FileFormatError(f"{path}: the folder {path.parent} does not exist")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_new_folder(out: str | Path) -> None:
    """Raise InputError when the output is there already, unless as an empty folder, or a file stands above it."""
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"output is {out}, which exists; allowed: a new folder")
    check_above("output", out)


def put_folder(made: Path, out: Path) -> None:
    """Copy what is in a folder to a new one, or an empty one, which appears whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    try:
        part.mkdir()  # and not with the rights of `made`, which may be a temporary folder of one user
        for path in made.iterdir():
            (shutil.copytree if path.is_dir() else shutil.copy)(path, part / path.name)
        if out.exists():
            out.rmdir()
        os.replace(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_not_read(output: str | Path, read: Iterable[str | Path]) -> None:
    """Raise InputError when a file that is to be written is one of those that are read, by whatever name.

    >>> check_not_read("pairs.jsonl", ["./pairs.jsonl"])
    Traceback (most recent call last):
    prefmodel.errors.InputError: output is pairs.jsonl, which is read, too; allowed: another name
    """
    out = Path(output)
    for path in map(Path, read):
        if path.resolve() == out.resolve() or (path.exists() and out.exists() and path.samefile(out)):
            raise InputError(f"output is {output}, which is read, too; allowed: another name")


def check_above(name: str, folder: str | Path) -> None:
    """Raise InputError when a file stands above a folder that is to be made.

    Args:
        name: of the argument that names the folder.
        folder: that may not exist yet.
    """
    above = next(parent for parent in Path(folder).absolute().parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"{name} is {folder}, but {above} is a file; allowed: a new folder")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hex; raise OSError when it cannot be read.

    >>> import tempfile; path = Path(tempfile.mkdtemp()) / "empty"; path.touch()
    >>> sha256(path)[:16]
    'e3b0c44298fc1c14'
    """
    digest, buffer = hashlib.sha256(), memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while n := file.readinto(buffer):
            digest.update(buffer[:n])
    return digest.hexdigest()


def _write(path: str | Path, rows: Iterable[Row], schema: Callable[[Any], Any]) -> int:
    suffix = format_of(path)
    with whole_file(path) as temporary:
        if suffix == ".parquet":
            return _write_parquet(temporary, rows, schema)
        return _write_json_lines(temporary, suffix, rows)


def _parsed(path: str | Path, parse: Callable[[Row], T]) -> Iterator[T]:
    for number, row in read_rows(path):
        try:
            yield parse(row)
        except InputError as error:
            raise FileFormatError(f"{path}, line {number}: {error}") from None


def _read_json_lines(path: str | Path, suffix: str) -> Iterator[tuple[int, Row]]:
    number = 0
    try:
        with _open(path, suffix, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _json_object(line)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}, line {number}: not a JSON object: {one_line(error)}") from None
    except (EOFError, OSError, zlib.error) as error:
        raise FileFormatError(f"{path}, after line {number}: {one_line(error)}") from None


def _json_object(line: bytes) -> Row:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"found {shown(row)}")
    return row


def _write_json_lines(path: Path, suffix: str, rows: Iterable[Row]) -> int:
    count = 0
    with _open(path, suffix, "wb") as file:
        for row in rows:
            file.write(json_line(row))
            count += 1
    return count


def json_line(row: Row, default: Callable[[Any], Any] | None = None) -> bytes:
    """Return `row` as one line of JSON; lone surrogates, which UTF-8 cannot hold, stay escaped.

    Args:
        row: the columns.
        default: returns what stands for a value that JSON does not have.
    """
    try:
        return json.dumps(row, ensure_ascii=False, default=default).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row, default=default).encode() + b"\n"


@contextmanager
def _open(path: str | Path, suffix: str, mode: str) -> Iterator[IO[bytes]]:
    with open(path, mode) as plain:
        if suffix == ".jsonl.gz":  # no name and no time in the header: the same rows give the same bytes
            with gzip.GzipFile("", mode, fileobj=plain, mtime=0) as packed:
                yield packed  # type: ignore[misc]
        else:
            yield plain


def _read_parquet(path: str | Path) -> Iterator[tuple[int, Row]]:
    parquet, arrow = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path}: not a Parquet file: {one_line(error)}") from None


def _write_parquet(path: Path, rows: Iterable[Row], schema_of: Callable[[Any], Any]) -> int:
    parquet, arrow = _pyarrow()
    count, writer, schema = 0, None, schema_of(arrow)
    try:
        for chunk in _chunks(rows, PARQUET_ROWS):
            count += len(chunk)
            table = arrow.Table.from_pylist(_same_columns(chunk) if schema is None else chunk, schema=schema)
            if writer is None:
                schema = table.schema
                writer = parquet.ParquetWriter(path, schema)
            writer.write_table(table)
    except (arrow.ArrowException, UnicodeEncodeError, OverflowError) as error:
        raise FileFormatError(f"rows up to {count} do not fit one Parquet schema: {one_line(error)}") from None
    finally:
        if writer is not None:
            writer.close()
    return count


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Yield lists of up to `size` rows, and one empty list if there are no rows, so that a file is still written."""
    rows = iter(rows)
    chunk = list(islice(rows, size))
    yield chunk
    while chunk := list(islice(rows, size)):
        yield chunk


def _same_columns(chunk: list[Row]) -> list[Row]:
    names = dict.fromkeys(name for row in chunk for name in row)
    return [{name: row.get(name) for name in names} for row in chunk]


def _thread_schema(arrow: Any) -> Any:
    text, whole = arrow.string(), arrow.int64()
    answer = {"text": text, "author": text, "votes": whole, "accepted": arrow.bool_(), "created": text, "model": text}
    answers = arrow.list_(arrow.struct(answer))
    columns = {"id": text, "source": text, "question": text, "answers": answers}
    return arrow.schema(columns | {"passages": arrow.list_(text), "views": whole})


def _pair_schema(arrow: Any) -> Any:
    text, number = arrow.string(), arrow.float64()
    messages = arrow.list_(arrow.struct({"role": text, "content": text}))
    columns = {"question": text, "messages": messages, "chosen": text, "rejected": text, "axiom": text, "source": text}
    columns |= {"principle": text, "margin": number, "target": number, "thread_id": text, "provenance": text}
    return arrow.schema(columns)


def _flat_pair(row: Row) -> Row:
    dialogue = None if isinstance(row["question"], str) else row["question"]
    question = None if dialogue else row["question"]
    return {**row, "question": question, "messages": dialogue, "provenance": json.dumps(row["provenance"])}


def _nested_pair(row: Row) -> Row:
    if isinstance(row.get("provenance"), str):
        try:
            row["provenance"] = json.loads(row["provenance"])
        except ValueError:
            raise InputError(f"provenance is {shown(row['provenance'])}; allowed: a mapping") from None
    if row.get("question") is None and row.get("messages") is not None:
        row["question"] = row.pop("messages")
    elif "messages" in row and row["messages"] is None:
        del row["messages"]
    return row


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("a .parquet file", "batch") from None
    return pyarrow.parquet, pyarrow
