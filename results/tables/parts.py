"""A table is a folder of Parquet parts: how they are named, read together and merged.

A part says in its footer which earlier parts it replaces, and a reader passes over a part that another one
replaces. So putting the merged file is the one moment at which a compaction happens: before it the old parts
count, after it the new one, and old parts that a crash left behind are passed over and later swept away.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from toprung.results.tables.integrity import check_rows, check_together, foreign_columns, raise_lost
from toprung.results.tables.part_file import DamagedTableError, Part, decode_part, encode_part
from toprung.results.tables.recorded_columns import recorded_columns
from toprung.results.tables.rows import reports_of
from toprung.results.tables.run_identity import commonest_id, recorded_id
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TABLES, TRIALS, empty_frame, merged, run_schemas
from toprung.spaces.errors import first_line
from toprung.trainables.system.storage import Root, Storage
from toprung.trainables.system.uris import join

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from toprung.trainables.trial.report import EpochReport

READ_ATTEMPTS = 20


def part_name(counter: int) -> str:
    """A fresh name; parts sort by counter, and two writers can never choose the same name."""
    return f"part-{counter:06d}-{uuid.uuid4().hex[:8]}.parquet"


def counter_of(part: str) -> int:
    """The counter in a part's name; -1 for a file that was named by someone else."""
    text = part.removeprefix("part-").partition("-")[0]
    return int(text) if part.startswith("part-") and text.isdecimal() else -1


def part_names(storage: Storage, table: str) -> tuple[str, ...]:
    """Every part in the folder, replaced ones included, in the order of their rows.

    Raises DamagedTableError where something else lies in the place of the folder.
    """
    if obstacle := storage.obstacle(table):
        raise DamagedTableError.of(join(storage.root, table), f"is {obstacle}", storage.root)
    names = [name for name in storage.list(table) if name.endswith(".parquet")]
    visible = [name for name in names if not name.startswith((".", "_"))]
    return tuple(sorted(visible, key=lambda name: (counter_of(name), name)))


def put_part(
    storage: Storage,
    table: str,
    part: str,
    rows: pa.Table,
    replaces: Iterable[str] = (),
    follows: Iterable[str] = (),
) -> None:
    """Write one part whole.

    Args:
        storage: The run folder.
        table: The table.
        part: The part's name.
        rows: All its rows.
        replaces: The names of the parts whose rows it holds.
        follows: The names of the parts that count beside it, without which the table is not complete.
    """
    storage.put(f"{table}/{part}", encode_part(rows, replaces, follows))


def read_table(root: Root, table: str) -> pd.DataFrame:
    """All rows of a table, in the order they were written, also while a search writes it or compacts it.

    Nullable integers and booleans keep their types. Without any part yet: no rows, and the columns that
    every run has.

    Raises:
        InputError: The table is of another schema version.
        DamagedTableError: A part cannot be read or is missing, or a row cannot be; or the table has no part, though
            others of the run have rows.
    """
    rows = _rows_of(Storage.at(root), table)
    if rows is None:
        return empty_frame(run_schemas({})[table])
    frame: pd.DataFrame = rows.to_pandas()
    return frame


def read_reports(root: Root) -> list[EpochReport]:
    """Every epoch report of the run in order of arrival, exactly as it was written.

    NaN is NaN, and a metric that was not measured is absent. Raises what `read_table` raises.
    """
    rows = _rows_of(Storage.at(root), EPOCHS)
    return [] if rows is None else reports_of(rows)


def read_tables(root: Root) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The frames (proposals, epochs, trials), read in the reverse of the order in which they are written.

    So a trial seen as ended has all its epochs here, and an epoch has its proposal. Raises what `read_table` raises,
    and DamagedTableError where the tables do not belong together.
    """
    trials, epochs, proposals = (read_table(root, table) for table in (TRIALS, EPOCHS, PROPOSALS))
    check_together(Storage.at(root), proposals, epochs, trials)
    return proposals, epochs, trials


def check_run_tables(root: Root) -> None:
    """Read all tables of a run, where there is one. Raises what `read_tables` raises."""
    read_tables(root)
    for table in TABLES:
        read_table(root, table)


def read_parts(storage: Storage, table: str) -> pa.Table | None:
    """The rows of the parts that count; None without any. One that vanishes meanwhile restarts the read."""
    for _ in range(READ_ATTEMPTS):
        names = part_names(storage, table)
        with suppress(FileNotFoundError):
            parts = {name: read_part(storage, table, name) for name in names}
            if part_names(storage, table) != names:
                continue  # listing a folder is not atomic: a compaction meanwhile can hide old and new parts
            counting = _counting(storage, table, parts)
            return _joined(storage, table, counting) if counting else None
    raise DamagedTableError.of(
        join(storage.root, table), "its files kept vanishing while they were read; try again", storage.root
    )


def _rows_of(storage: Storage, table: str) -> pa.Table | None:
    """As `read_parts`, but a table that is lost is no table without rows."""
    rows = read_parts(storage, table)
    if rows is None:
        for other in (name for name in TABLES if name != table):
            found = read_parts(storage, other)
            if found is not None and found.num_rows:
                raise_lost(storage, table)
    return rows


def read_part(storage: Storage, table: str, part: str) -> Part:
    """One part, verified.

    Raises FileNotFoundError, what `decode_part` raises, and DamagedTableError for what is no file or cannot be read.
    """
    where = join(storage.root, table, part)
    try:
        content = storage.read(f"{table}/{part}")
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:
        if not storage.is_local:  # a store that does not answer has damaged nothing
            raise
        given = f"cannot be read ({error.strerror or first_line(error)})"
        raise DamagedTableError.of(where, given, storage.root) from error
    found = decode_part(content, table, where, storage.root, lambda: recorded_columns(storage, table))
    if foreign := foreign_columns(table, found.rows.schema.names):
        raise DamagedTableError.of(where, f"is no part of this table: {foreign}", storage.root)
    return found


def replaced_by(parts: Iterable[Part]) -> frozenset[str]:
    """The names that any of these parts says it replaces."""
    return frozenset(name for part in parts for name in part.replaces)


def missing_from(parts: Mapping[str, Part]) -> list[str]:
    """The names of the parts that others say count beside them, and that are not there."""
    replaced = replaced_by(parts.values())
    named = {name for one, part in parts.items() if one not in replaced for name in part.follows}
    return sorted(named - replaced - parts.keys())


def of_other_runs(parts: Mapping[str, Part], run_id: str | None) -> list[str]:
    """The names of the parts that say they are of another run than `run_id`, or than most of them if it is None."""
    own = run_id or commonest_id(part.run_id for part in parts.values())
    return [name for name, part in parts.items() if part.run_id not in (None, own)]


def joined_rows(parts: Sequence[pa.Table]) -> pa.Table:
    """The rows of all parts, with every column that any of them has, and metadata of our own."""
    first, *others = (rows.schema for rows in parts)
    schema = reduce(merged, others, merged(first, first))
    return pa.concat_tables([_conformed(rows, schema) for rows in parts])


def compact_parts(storage: Storage, table: str, schema: pa.Schema | None = None) -> None:
    """Merge all parts into one, widened to `schema` when given; may be killed at any point and called again.

    The caller holds the run's lock. A plain reader that lists the folder between the put of the merged part
    and the removal of the old ones sees rows twice; `read_table` never does.
    """
    names = part_names(storage, table)
    if not names:
        return
    parts = {name: read_part(storage, table, name) for name in names}
    replaced = replaced_by(parts.values())
    counting = _counting(storage, table, parts)
    joined = _joined(storage, table, [*counting, *([schema.empty_table()] if schema is not None else [])])
    columns = set(joined.schema.names)
    if len(counting) > 1 or any(set(rows.schema.names) != columns for rows in counting):
        put_part(storage, table, part_name(max(counter_of(names[-1]), 0)), joined, replaces=names)
        replaced = frozenset(names)
    for part in [name for name in names if name in replaced]:
        storage.delete(f"{table}/{part}")


def sweep(storage: Storage, table: str) -> None:
    """Remove the hidden files that a killed writer left half written. The caller holds the run's lock."""
    for folder in ("", table):
        for name in storage.list(folder):
            if name.startswith(".part-"):
                storage.delete(f"{folder}/{name}" if folder else name)


def _counting(storage: Storage, table: str, parts: Mapping[str, Part]) -> list[pa.Table]:
    """The rows of each part that no other replaces; raises DamagedTableError where one is missing."""
    if missing := missing_from(parts):
        where = join(storage.root, table, missing[0])
        more = f", with {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DamagedTableError.of(where, f"is missing{more}", storage.root)
    replaced = replaced_by(parts.values())
    counting = {name: part for name, part in parts.items() if name not in replaced}
    for name in of_other_runs(counting, recorded_id(storage)):
        where = join(storage.root, table, name)
        raise DamagedTableError.of(where, "is of another run with the same name", storage.root)
    return [part.rows for part in counting.values()]


def _joined(storage: Storage, table: str, parts: Sequence[pa.Table]) -> pa.Table:
    where = join(storage.root, table)
    try:
        rows = joined_rows(parts)
    except pa.ArrowException as error:
        raise DamagedTableError.of(
            where, f"its files disagree ({first_line(error)})", storage.root
        ) from error
    check_rows(table, rows, where, storage.root)
    return rows


def _conformed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with every column of the schema, nulls where a part lacks one."""
    names = set(rows.schema.names)
    nulls = {field.name: pa.nulls(rows.num_rows, field.type) for field in schema if field.name not in names}
    columns = [nulls[f.name] if f.name in nulls else rows[f.name].cast(f.type) for f in schema]
    return pa.table(columns, schema=schema)
