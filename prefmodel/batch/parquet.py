"""Finished rows on their way to a Parquet file: Arrow tables, each behind its length in bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefmodel.batch.output import GROUP_ROWS, Rows, json_line
from prefmodel.errors import missing_extra

try:
    import pyarrow as arrow
    from pyarrow import ipc, parquet
except ImportError:
    raise missing_extra("a .parquet file", "batch") from None

_LENGTH = struct.Struct("<Q")
_AS_JSON = {b"prefmodel": b"json"}
"""Metadata of a column that holds values of several types as JSON text."""


def pack(rows: Rows) -> bytes:
    """Return rows as an Arrow stream behind its length; columns that came from Parquet keep their types."""
    if not rows.rows:
        return b""
    table = _table(rows)
    sink = arrow.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return _LENGTH.pack(len(data)) + data


def finish(parts: Path, output: Path) -> list[str]:
    """Write packed rows as a Parquet file, with all columns that occur, in memory of one row group.

    A column whose values have types that do not go together becomes JSON text, and a warning says so.
    """
    schema, mixed = _unified(_tables(parts, schema_only=True))
    with parquet.ParquetWriter(output, schema) as writer:
        group: list[Any] = []
        for table in _tables(parts):
            group.append(_cast(table, schema, mixed))
            if sum(t.num_rows for t in group) >= GROUP_ROWS:
                writer.write_table(arrow.concat_tables(group))
                group = []
        if group:
            writer.write_table(arrow.concat_tables(group))
    return [f"column {name} holds values of several types; written as JSON text" for name in mixed]


def _table(rows: Rows) -> Any:
    """Return rows as a table; columns that are as they were read are taken from there."""
    columns: dict[str, tuple[Any, Any]] = {}
    read = None if rows.table is None else rows.table.take(arrow.array(rows.places, arrow.int64()))
    for name in dict.fromkeys(name for row in rows.rows for name in row):
        if read is not None and name in read.column_names and name not in rows.changed:
            columns[name] = read.column(name), read.schema.field(name)
        else:
            columns[name] = _column(name, [row.get(name) for row in rows.rows])
    return arrow.table([array for array, _ in columns.values()], schema=arrow.schema([f for _, f in columns.values()]))


def _column(name: str, values: list[Any]) -> tuple[Any, Any]:
    """Return an array and its field; values of several types become JSON text."""
    try:
        array = arrow.array(values)
        return array, arrow.field(name, array.type)
    except (arrow.ArrowException, UnicodeEncodeError, OverflowError):
        return arrow.array(map(_json, values), arrow.string()), arrow.field(name, arrow.string(), metadata=_AS_JSON)


def _unified(schemas: Iterator[Any]) -> tuple[Any, list[str]]:
    """Return one schema for all tables, and the columns that are JSON text in it."""
    fields: dict[str, Any] = {}
    mixed: dict[str, None] = {}
    for field in (field for schema in schemas for field in schema):
        if field.metadata == _AS_JSON:
            mixed[field.name] = None
        known = fields.get(field.name)
        try:
            both = [arrow.schema([f]) for f in (known, field) if f is not None]
            fields[field.name] = arrow.unify_schemas(both, promote_options="permissive").field(0)
        except arrow.ArrowException:
            mixed[field.name] = None
    fields |= {name: arrow.field(name, arrow.string()) for name in mixed}
    return arrow.schema(list(fields.values())), list(mixed)


def _cast(table: Any, schema: Any, mixed: list[str]) -> Any:
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(arrow.nulls(table.num_rows, field.type))
        elif field.name in mixed and table.schema.field(field.name).metadata != _AS_JSON:
            columns.append(arrow.array(map(_json, table.column(field.name).to_pylist()), arrow.string()))
        else:
            columns.append(table.column(field.name).cast(field.type))
    return arrow.table(columns, schema=schema)


def _tables(parts: Path, schema_only: bool = False) -> Iterator[Any]:
    with open(parts, "rb") as file:
        while header := file.read(_LENGTH.size):
            data = file.read(_LENGTH.unpack(header)[0])
            with ipc.open_stream(data) as stream:
                yield stream.schema if schema_only else stream.read_all()


def _json(value: Any) -> str | None:
    return None if value is None else json_line({"": value})[5:-2].decode()
