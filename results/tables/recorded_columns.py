"""The columns of a run's tables with their types, in a file of the run folder.

A part of ours has a digest of its columns. One that another program wrote back has none: what it has to hold, and as
what, is what the run's writer has recorded here.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pyarrow as pa

from toprung.results.tables.schema import COLUMN_TYPES, merged, run_schemas

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.system.storage import Storage

COLUMNS_FILE = "table_columns.json"
_TYPES = {str(one): one for one in COLUMN_TYPES}


def record_columns(storage: Storage, schemas: Mapping[str, pa.Schema]) -> None:
    """Write the file, where it does not say this already."""
    columns = {table: {field.name: str(field.type) for field in schema} for table, schema in schemas.items()}
    if _read(storage) != columns:
        content = {"columns": columns, "sha256": _digest(columns)}
        storage.put(COLUMNS_FILE, json.dumps(content, indent=1).encode())


def recorded_columns(storage: Storage, table: str) -> dict[str, pa.DataType]:
    """The columns of every part of the table; none in a run of an earlier version, or where the file is damaged."""
    return {name: _TYPES[kind] for name, kind in _read(storage).get(table, {}).items()}


def empty_rows(storage: Storage, table: str) -> pa.Table:
    """No rows, and the columns of the run's table as far as they are known."""
    recorded = recorded_columns(storage, table)
    schema = pa.schema(list(recorded.items())) if recorded else run_schemas({})[table]
    return merged(schema, schema).empty_table()


def _read(storage: Storage) -> dict[str, dict[str, str]]:
    try:
        content = json.loads(bytes(storage.read(COLUMNS_FILE)))
        columns: dict[str, dict[str, str]] = content["columns"]
        return columns if content["sha256"] == _digest(columns) else {}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def _digest(columns: Mapping[str, Mapping[str, str]]) -> str:
    return hashlib.sha256(json.dumps(columns).encode()).hexdigest()
