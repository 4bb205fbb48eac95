"""Finished rows on their way to a Parquet file: Arrow tables, each behind its length in bytes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefmodel.batch.output import Rows, json_line
from prefmodel.encoding import encodable
from prefmodel.errors import missing_extra

try:
    import pyarrow as arrow
    from pyarrow import ipc, parquet
except ImportError:
    raise missing_extra("a .parquet file", "batch") from None

GROUP_ROWS = 1 << 16
GROUP_BYTES = 64 << 20
"""A row group ends at so many rows, or at so many bytes in memory."""
MAX_PARTS = 200
"""Structs, lists and their fields in one column. Objects whose names are data would have new ones in each row."""
MAX_DEPTH = 20
"""Lists and structs within each other. Those who read Parquet give up at about 30."""

_LENGTH = struct.Struct("<Q")
_AS_JSON = {b"prefmodel": b"json"}
"""Metadata of a column that holds values of several types as JSON text."""


def pack(rows: Rows) -> bytes:
    """Return rows as an Arrow stream behind its length; columns that came from Parquet keep their types."""
    table = _table(rows)
    if not table.num_columns:
        return b""
    sink = arrow.BufferOutputStream()
    with ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return _LENGTH.pack(len(data)) + data


def finish(parts: Path, output: Path) -> list[str]:
    """Write packed rows as a Parquet file, with all columns that occur, in memory of one row group.

    A column whose values no one type holds becomes JSON text, and a warning says so.
    """
    as_json: set[str] = set()
    while True:
        schema = _schema(parts, as_json)
        try:
            with parquet.ParquetWriter(output, schema) as writer:
                for group in _groups(_cast(table, schema, as_json) for table in _tables(parts)):
                    writer.write_table(group)
        except _DoesNotFit as error:  # which only its values tell, as an integer that no float stands for: once more
            as_json.add(str(error))
        else:
            told = [name for name in schema.names if name in as_json]
            return [f"no Parquet type holds all values of column {name}; written as JSON text" for name in told]


class _DoesNotFit(Exception):
    """A value of the column of this name does not fit the type that was found for it."""


def _table(rows: Rows) -> Any:
    """Return rows as a table; columns that are as they were read are taken from there."""
    read = None if rows.table is None else rows.table.take(arrow.array(rows.places, arrow.int64()))
    if rows.like:
        return _table(rows.like).slice(0, 0)
    if not rows.rows:
        return arrow.table({encodable(n): arrow.nulls(0) for n in rows.columns}) if read is None else read
    columns: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys(name for row in rows.rows for name in row):
        known = None if read is None or name not in read.column_names else read.schema.field(name)
        if read is not None and known is not None and name not in rows.changed:
            columns[name] = read.column(name), known
        else:  # of a list from which something was left out, the rest keeps its type
            kind = known.type if known is not None and arrow.types.is_list(known.type) else None
            columns[encodable(name)] = _column(encodable(name), [row.get(name) for row in rows.rows], kind)
    return arrow.table([array for array, _ in columns.values()], schema=arrow.schema([f for _, f in columns.values()]))


def _column(name: str, values: list[Any], kind: Any = None) -> tuple[Any, Any]:
    """Return an array, of the type `kind` if there is one, and its field; values of several types become JSON text."""
    try:
        array = arrow.array(values, kind)
        if _parts(array.type) <= MAX_PARTS:
            return array, arrow.field(name, array.type)
    except UnicodeEncodeError:
        return _column(name, [_encodable(value) for value in values], kind)
    except (arrow.ArrowException, OverflowError):
        if kind is not None:
            return _column(name, values)
    return arrow.array(map(_json, values), arrow.string()), arrow.field(name, arrow.string(), metadata=_AS_JSON)


def _schema(parts: Path, as_json: set[str]) -> Any:
    """Return one schema for all tables, in which the columns `as_json` are text; those that have to be are added."""
    fields: dict[str, Any] = {}
    for field in (field for schema in _tables(parts, schema_only=True) for field in schema):
        known = fields.setdefault(field.name, field.with_nullable(True))  # another table may lack it
        if field.metadata == _AS_JSON:
            as_json.add(field.name)
        elif field.name not in as_json and field.type != known.type:
            try:
                both = fields[field.name] = _merged(known, field)
            except arrow.ArrowException:
                both = None
            if both is None or _parts(both.type) > MAX_PARTS:
                as_json.add(field.name)
    as_json |= {name for name, field in fields.items() if _has_empty_struct(field.type)}
    return arrow.schema([arrow.field(n, arrow.string()) if n in as_json else f for n, f in fields.items()])


def _merged(*fields: Any) -> Any:
    """Return the field that holds the values of both; raise ArrowException if there is none."""
    if len({arrow.types.is_dictionary(field.type) for field in fields}) == 2:
        fields = tuple(f.with_type(f.type.value_type) if arrow.types.is_dictionary(f.type) else f for f in fields)
    return arrow.unify_schemas([arrow.schema([f]) for f in fields], promote_options="permissive").field(0)


def _parts(kind: Any, depth: int = 0) -> float:
    """Return how many types a type is made of; infinity if they are nested too deep to be written."""
    return math.inf if depth > MAX_DEPTH else 1 + sum(_parts(child, depth + 1) for child in _children(kind))


def _has_empty_struct(kind: Any) -> bool:
    """Return whether there is a struct without fields, which Parquet does not have."""
    return (arrow.types.is_struct(kind) and not kind.num_fields) or any(map(_has_empty_struct, _children(kind)))


def _children(kind: Any) -> list[Any]:
    return [kind.field(i).type for i in range(kind.num_fields)]


def _groups(tables: Iterator[Any]) -> Iterator[Any]:
    group: list[Any] = []
    for table in tables:
        group.append(table)
        if sum(t.num_rows for t in group) >= GROUP_ROWS or sum(t.nbytes for t in group) >= GROUP_BYTES:
            yield arrow.concat_tables(group)
            group = []
    if group:
        yield arrow.concat_tables(group)


def _cast(table: Any, schema: Any, as_json: set[str]) -> Any:
    columns = []
    for field in schema:
        if field.name not in table.column_names:
            columns.append(arrow.nulls(table.num_rows, field.type))
        elif field.name in as_json and table.schema.field(field.name).metadata != _AS_JSON:
            columns.append(arrow.array(map(_json, table.column(field.name).to_pylist()), arrow.string()))
        else:
            columns.append(_as_type(table.column(field.name), field))
    return arrow.table(columns, schema=schema)


def _as_type(column: Any, field: Any) -> Any:
    try:
        cast = column.cast(field.type)
        cast.validate()  # what comes out of casts of lists of structs need not be whole
        return cast
    except arrow.ArrowException:
        try:
            return arrow.array(column.to_pylist(), field.type)
        except (arrow.ArrowException, OverflowError):
            raise _DoesNotFit(field.name) from None


def _tables(parts: Path, schema_only: bool = False) -> Iterator[Any]:
    with open(parts, "rb") as file:
        while header := file.read(_LENGTH.size):
            data = file.read(_LENGTH.unpack(header)[0])
            with ipc.open_stream(data) as stream:
                yield stream.schema if schema_only else stream.read_all()


def _encodable(value: Any) -> Any:
    if isinstance(value, dict):
        return {encodable(name): _encodable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_encodable(part) for part in value]
    return encodable(value) if isinstance(value, str) else value


def _json(value: Any) -> str | None:
    return None if value is None else json_line({"": value})[5:-2].decode()
