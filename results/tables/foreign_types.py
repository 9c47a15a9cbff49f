"""The columns of a part that another program wrote back, in the types that this package writes.

pandas, Polars and DuckDB write texts as dictionaries, large strings or views, whole numbers with gaps as floats, times
without a zone or in nanoseconds, and columns of nulls without a type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from toprung.results.tables.schema import COLUMN_TYPES, run_schemas

if TYPE_CHECKING:
    from collections.abc import Mapping

_INDEX = "__index_level_"  # the column in which pandas keeps an index


def as_written_here(
    rows: pa.Table, table: str, recorded: Mapping[str, pa.DataType] | None = None
) -> pa.Table:
    """The rows with every column in one of the five types of a run's tables.

    A column of nulls without a type, of which the table does not know the type, is left out.

    Args:
        rows: As they were read.
        table: The table.
        recorded: The types of the run's columns, those of its parameters included, as far as they are known.

    Raises:
        ValueError: A column cannot hold what it must; the message names it.
    """
    schema = run_schemas({}).get(table)
    fixed = {} if schema is None else {field.name: field.type for field in schema}
    fixed |= recorded or {}
    if all(field.type in COLUMN_TYPES for field in rows.schema) and all(
        rows.schema.field(name).type == wanted for name, wanted in fixed.items() if name in rows.schema.names
    ):
        return rows
    columns: dict[str, pa.ChunkedArray] = {}
    for field in rows.schema:
        wanted = fixed.get(field.name) or _nearest(field.type)
        if field.name.startswith(_INDEX) or (wanted is None and pa.types.is_null(field.type)):
            continue
        if wanted is None:
            raise ValueError(f"{field.name} holds {field.type}")
        columns[field.name] = _converted(rows[field.name], wanted, field.name)
    return pa.table(columns, metadata=rows.schema.metadata)


def _nearest(given: pa.DataType) -> pa.DataType | None:
    """The type of this package that holds what the given one holds; None without any."""
    types = pa.types
    if types.is_dictionary(given):
        return _nearest(given.value_type)
    if types.is_boolean(given):
        return pa.bool_()
    if types.is_integer(given):
        return pa.int64()
    if types.is_floating(given) or types.is_decimal(given):
        return pa.float64()
    if types.is_timestamp(given) or types.is_date(given):
        return pa.timestamp("us", tz="UTC")
    is_text = types.is_string(given) or types.is_large_string(given) or types.is_string_view(given)
    return pa.string() if is_text else None


def _converted(column: pa.ChunkedArray, wanted: pa.DataType, name: str) -> pa.ChunkedArray:
    try:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_floating(column.type) and wanted != pa.float64():
            column = pc.if_else(pc.is_nan(column), None, column)  # a gap, as pandas writes it
        if pa.types.is_date(column.type):
            column = column.cast(pa.timestamp("us"))
        if pa.types.is_timestamp(column.type) and pa.types.is_timestamp(wanted):
            zoned = column if column.type.tz else pc.assume_timezone(column, "UTC")
            return zoned.cast(wanted, safe=False)
        if wanted == pa.bool_() and not pa.types.is_boolean(column.type):
            column = column.cast(pa.int64())
        return column.cast(wanted)
    except pa.ArrowException as error:
        raise ValueError(f"{name} holds {column.type} that is no {wanted}") from error
