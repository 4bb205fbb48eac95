"""Rows of Parquet files in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prefmodel.batch import reading
from prefmodel.batch.output import json_line
from prefmodel.batch.reading import Chunk, Record, SourceError, not_what_it_was, repeated
from prefmodel.batch.sources import Source
from prefmodel.errors import missing_extra, one_line
from prefmodel.files import Row

try:
    import pyarrow as arrow
    from pyarrow import parquet
except ImportError:
    raise missing_extra("a .parquet file", "batch") from None

BUFFER_BYTES = 1 << 20
"""What is read of a column at once; without it, the column of a whole row group."""
_ERRORS = (arrow.ArrowException, OSError, ValueError, OverflowError, LookupError, RecursionError)
"""What pyarrow raises for damaged files, and for values that Python has nothing for."""


def read_parquet(index: int, source: Source, rows: int, skip: int, digest: str) -> Iterator[Chunk]:
    """Yield the records of a Parquet file in chunks; arguments and errors as of `reading.read_chunks`."""
    end, whole = 0, source.facts()["sha256"]
    if skip and digest != whole:
        raise not_what_it_was(source, skip)
    try:
        with parquet.ParquetFile(source.path, buffer_size=BUFFER_BYTES) as file:
            names, total = file.schema_arrow.names, file.metadata.num_rows
            if problem := repeated(names):
                raise SourceError(f"{source.name}: {problem}")
            for read in _tables(file, rows, skip) if total else [file.schema_arrow.empty_table()]:
                table = _without_views(read)
                end = max(end, skip) + table.num_rows
                records, position = _records(table, end - table.num_rows + 1), source.bytes * end // max(1, total)
                yield Chunk(index, source.name, records, end, whole, position, table, names)
    except SourceError:
        raise
    except _ERRORS as error:
        raise SourceError(f"{source.name}, after row {end}: {one_line(error)}") from None


def _tables(file: Any, rows: int, skip: int) -> Iterator[Any]:
    """Yield the rows behind the first `skip` in parts, of up to `rows`, that end where they would without it."""
    end = 0
    for group in range(file.num_row_groups):
        # One group at a time: a run that begins with a later group has the same parts.
        facts = file.metadata.row_group(group)
        if end + facts.num_rows <= skip:
            end += facts.num_rows
            continue
        size = reading.CHUNK_BYTES * facts.num_rows // max(1, facts.total_byte_size)
        for batch in file.iter_batches(max(1, min(size, rows)), row_groups=[group]):
            end += batch.num_rows
            if end > skip:
                yield arrow.Table.from_batches([batch])


def _without_views(table: Any) -> Any:
    """Return a table with large texts and bytes in place of views, of which pyarrow can take no rows."""
    fields = [field.with_type(_without_view(field.type)) for field in table.schema]
    schema = arrow.schema(fields, table.schema.metadata)
    return table if schema.equals(table.schema) else table.cast(schema)


def _without_view(kind: Any) -> Any:
    types = arrow.types
    if types.is_string_view(kind):
        return arrow.large_string()
    if types.is_binary_view(kind):
        return arrow.large_binary()
    if types.is_map(kind):
        return arrow.map_(_without_view(kind.key_type), _without_view(kind.item_type), kind.keys_sorted)
    fields = [kind.field(i).with_type(_without_view(kind.field(i).type)) for i in range(kind.num_fields)]
    if types.is_struct(kind):
        return arrow.struct(fields)
    if types.is_fixed_size_list(kind):
        return arrow.list_(*fields, kind.list_size)
    lists = {types.is_list: arrow.list_, types.is_large_list: arrow.large_list}
    lists |= {types.is_list_view: arrow.list_view, types.is_large_list_view: arrow.large_list_view}
    return next((make(*fields) for is_one, make in lists.items() if is_one(kind)), kind)


def _records(table: Any, first: int) -> list[Record]:
    try:
        return [Record(number, row) for number, row in enumerate(table.to_pylist(), first)]
    except _ERRORS:  # a value that Python has nothing for: which one, and what can be done?
        return [_record(table.slice(place, 1), first + place) for place in range(table.num_rows)]


def _record(table: Any, number: int) -> Record:
    row: Row = {}
    problems = []
    for name in table.column_names:
        try:
            row[name] = _value(table.column(name))
        except _ERRORS as error:
            problems.append(f"{name}: {one_line(error)}")
    if problems:
        return Record(number, None, f"not to be read: {'; '.join(problems)}", json_line(row).decode().rstrip())
    return Record(number, row)


def _value(column: Any) -> Any:
    """Return the one value of a column; times of other ranges and precisions than Python's become text."""
    try:
        return column[0].as_py()
    except (ValueError, OverflowError):
        if not arrow.types.is_temporal(column.type):
            raise
        return column.cast(arrow.string())[0].as_py()
