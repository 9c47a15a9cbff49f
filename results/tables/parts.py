"""A table is a folder of Parquet parts: how they are named, read together and merged.

A part says in its footer which earlier parts it replaces, and a reader passes over a part that another one
replaces. So putting the merged file is the one moment at which a compaction happens: before it the old parts
count, after it the new one, and old parts that a crash left behind are passed over and later swept away.
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from toprung.results.tables.rows import reports_of
from toprung.results.tables.schema import (
    EPOCHS,
    PROPOSALS,
    SCHEMA_VERSION,
    TRIALS,
    empty_frame,
    merged,
    run_schemas,
    schema_version,
)
from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Root, Storage
from toprung.trainables.system.uris import join

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from toprung.trainables.trial.report import EpochReport

READ_ATTEMPTS = 20
_REPLACES = b"toprung.replaces"


class DamagedTableError(RuntimeError):
    """A part cannot be read: restore it from a backup, or move it away and lose its rows."""


def part_name(counter: int) -> str:
    """A fresh name; parts sort by counter, and two writers can never choose the same name."""
    return f"part-{counter:06d}-{uuid.uuid4().hex[:8]}.parquet"


def counter_of(part: str) -> int:
    """The counter in a part's name; -1 for a file that was named by someone else."""
    text = part.removeprefix("part-").partition("-")[0]
    return int(text) if part.startswith("part-") and text.isdecimal() else -1


def part_names(storage: Storage, table: str) -> tuple[str, ...]:
    """Every part in the folder, replaced ones included, in the order of their rows."""
    names = [name for name in storage.list(table) if name.endswith(".parquet")]
    visible = [name for name in names if not name.startswith((".", "_"))]
    return tuple(sorted(visible, key=lambda name: (counter_of(name), name)))


def put_part(storage: Storage, table: str, part: str, rows: pa.Table, replaces: Iterable[str] = ()) -> None:
    """Write one part whole; `replaces` names the parts whose rows it holds."""
    metadata = dict(rows.schema.metadata or {})
    metadata.pop(_REPLACES, None)
    if replaced := sorted(replaces):
        metadata[_REPLACES] = json.dumps(replaced).encode()
    sink = pa.BufferOutputStream()
    pq.write_table(rows.replace_schema_metadata(metadata), sink, compression="zstd")
    storage.put(f"{table}/{part}", sink.getvalue())


def read_table(root: Root, table: str) -> pd.DataFrame:
    """All rows of a table, in the order they were written, also while a search writes it or compacts it.

    Nullable integers and booleans keep their types. Without any part yet: no rows, and the columns that
    every run has.

    Raises:
        InputError: The table is of another schema version.
        DamagedTableError: A part cannot be read.
    """
    rows = read_parts(Storage.at(root), table)
    if rows is None:
        return empty_frame(run_schemas({})[table])
    frame: pd.DataFrame = rows.to_pandas()
    return frame


def read_reports(root: Root) -> list[EpochReport]:
    """Every epoch report of the run in order of arrival, exactly as it was written.

    NaN is NaN, and a metric that was not measured is absent. Raises what `read_table` raises.
    """
    rows = read_parts(Storage.at(root), EPOCHS)
    return [] if rows is None else reports_of(rows)


def read_tables(root: Root) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The frames (proposals, epochs, trials), read in the reverse of the order in which they are written.

    So a trial seen as ended has all its epochs here, and an epoch has its proposal. Raises what `read_table` raises.
    """
    trials, epochs, proposals = (read_table(root, table) for table in (TRIALS, EPOCHS, PROPOSALS))
    return proposals, epochs, trials


def read_parts(storage: Storage, table: str) -> pa.Table | None:
    """The rows of the parts that count; None without any. One that vanishes meanwhile restarts the read."""
    for _ in range(READ_ATTEMPTS):
        names = part_names(storage, table)
        with suppress(FileNotFoundError):
            parts = {part: _read_part(storage, table, part) for part in names}
            if part_names(storage, table) != names:
                continue  # listing a folder is not atomic: a compaction meanwhile can hide old and new parts
            replaced = replaced_by(parts.values())
            counting = [rows for part, rows in parts.items() if part not in replaced]
            return _joined(counting) if counting else None
    raise DamagedTableError(
        f"{join(storage.root, table)}: its files kept vanishing while they were read; try again"
    )


def replaced_by(parts: Iterable[pa.Table]) -> frozenset[str]:
    """The names that any of these parts says it replaces."""
    return frozenset(
        name for rows in parts for name in json.loads((rows.schema.metadata or {}).get(_REPLACES, b"[]"))
    )


def compact_parts(storage: Storage, table: str, schema: pa.Schema | None = None) -> None:
    """Merge all parts into one, widened to `schema` when given; may be killed at any point and called again.

    The caller holds the run's lock. A plain reader that lists the folder between the put of the merged part
    and the removal of the old ones sees rows twice; `read_table` never does.
    """
    names = part_names(storage, table)
    if not names:
        return
    parts = {part: _read_part(storage, table, part) for part in names}
    replaced = replaced_by(parts.values())
    counting = [rows for part, rows in parts.items() if part not in replaced]
    joined = _joined([*counting, *([schema.empty_table()] if schema is not None else [])])
    columns = set(joined.schema.names)
    if len(counting) > 1 or any(set(rows.schema.names) != columns for rows in counting):
        put_part(storage, table, part_name(max(counter_of(names[-1]), 0)), joined, replaces=names)
        replaced = frozenset(names)
    for part in [name for name in names if name in replaced]:
        storage.delete(f"{table}/{part}")


def sweep(storage: Storage, table: str) -> None:
    """Remove the hidden files that a killed writer left half written. The caller holds the run's lock."""
    for name in storage.list(table):
        if name.startswith(".part-"):
            storage.delete(f"{table}/{name}")


def _read_part(storage: Storage, table: str, part: str) -> pa.Table:
    content = storage.read(f"{table}/{part}")
    try:
        rows = pq.read_table(pa.BufferReader(content))
    except pa.ArrowException as error:
        raise DamagedTableError(f"{join(storage.root, table, part)} cannot be read: {error}") from error
    version = schema_version(rows.schema)
    if version != str(SCHEMA_VERSION):
        raise _other_version(join(storage.root, table), version)
    return rows


def _other_version(where: str, version: str | None) -> InputError:
    given = f"tables of schema version {version}" if version else "tables without a schema version"
    rule = f"must be of version {SCHEMA_VERSION}: another version of toprung wrote this run and can read it"
    return InputError.single(where, given, rule)


def _joined(parts: list[pa.Table]) -> pa.Table:
    schema = reduce(merged, [rows.schema for rows in parts])
    return pa.concat_tables([_conformed(rows, schema) for rows in parts])


def _conformed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with every column of the schema, nulls where a part lacks one."""
    names = set(rows.schema.names)
    nulls = {field.name: pa.nulls(rows.num_rows, field.type) for field in schema if field.name not in names}
    columns = [nulls[f.name] if f.name in nulls else rows[f.name].cast(f.type) for f in schema]
    return pa.table(columns, schema=schema)
