"""The one writer of a run's tables: rows are queued, a background thread writes them every second."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from toprung.results.tables.parts import (
    compact_parts,
    counter_of,
    part_name,
    part_names,
    put_part,
    read_parts,
    sweep,
)
from toprung.results.tables.recorded_columns import record_columns
from toprung.results.tables.rows import Row, rows_table
from toprung.results.tables.run_identity import kept_id
from toprung.results.tables.run_lock import RunLock
from toprung.results.tables.schema import RUN, merged, with_run_id
from toprung.trainables.system.storage import Root, Storage
from toprung.trainables.system.uris import last_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

FLUSH_SECS = 1.0
PART_ROWS = 16_384


class TableWriteError(RuntimeError):
    """The tables cannot be written now: make room or allow it. The rows are kept and tried again."""


class OpenPart:
    """The part that one table is growing: rewritten whole under the same name until it holds PART_ROWS rows.

    So a search leaves few files however often it flushes, and a reader sees each row once or not yet. Each row gets
    the run's name, and the part its id.
    """

    _part: str
    _rows: pa.Table
    _follows: tuple[str, ...]

    def __init__(self, storage: Storage, table: str, schema: pa.Schema, run_id: str) -> None:
        self._storage, self._table = storage, table
        self._run = last_name(storage.root)
        sweep(storage, table)
        earlier = read_parts(storage, table)
        widened = schema if earlier is None else merged(earlier.schema, schema)
        self.schema = with_run_id(widened, run_id)
        compact_parts(storage, table, self.schema)
        self._counter = 1 + max((counter_of(name) for name in part_names(storage, table)), default=-1)
        self._begin()
        if earlier is None:  # so that a reader finds the table, without rows, before the first one is written
            put_part(storage, table, self._part, self._rows)

    def write(self, rows: list[Row]) -> None:
        """Make rows durable; on an error nothing has changed and the same call may be made again."""
        named = [{**row, RUN: self._run} for row in rows]
        grown = pa.concat_tables([self._rows, rows_table(named, self.schema)])
        put_part(self._storage, self._table, self._part, grown, follows=self._follows)
        self._rows = grown
        if grown.num_rows >= PART_ROWS:
            self.seal()

    def seal(self) -> None:
        """Leave this part as it is and go on with the next one."""
        if self._rows.num_rows:
            self._counter += 1
            self._begin()

    def _begin(self) -> None:
        self._part = part_name(self._counter)
        self._rows = self.schema.empty_table()
        self._follows = part_names(self._storage, self._table)


class RunWriter:
    """Appends to the tables of one run from a thread of its own; holds the run's lock.

    `append` costs microseconds and never waits. What was appended is on the disk within `flush_secs` and the
    time of one write, whatever happens to the process then. The tables are written in the order of `schemas`,
    from one snapshot of the queue: `schema.TABLES` says what that promises after a crash.

    Args:
        root: The run folder.
        schemas: The columns of each table (see `run_schemas`).
        flush_secs: Seconds between two writes.
        lock: The right to write the run, if the caller has it already and releases it.

    Raises:
        RunBusyError: Another search writes the run.
        InputError: The run's tables are of another schema version.
        TableWriteError: The folder cannot be written.
    """

    def __init__(
        self,
        root: Root,
        schemas: Mapping[str, pa.Schema],
        flush_secs: float = FLUSH_SECS,
        lock: RunLock | None = None,
    ) -> None:
        self._storage = Storage.at(root)
        self._flush_secs = flush_secs
        self._owns_lock = lock is None
        try:
            self._lock = lock or RunLock(root)
        except OSError as error:
            raise self._named(error) from error
        try:
            run_id = kept_id(self._storage)
            self._parts = {
                name: OpenPart(self._storage, name, schema, run_id) for name, schema in schemas.items()
            }
            # When all parts have them: one that lacks a recorded column was written by another program.
            record_columns(self._storage, {name: part.schema for name, part in self._parts.items()})
        except BaseException as error:
            self._release()
            if isinstance(error, OSError):
                raise self._named(error) from error
            raise
        self._queue: deque[tuple[str, Row]] = deque()
        self._unwritten: dict[str, list[Row]] = {name: [] for name in schemas}
        self._error: TableWriteError | None = None
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="toprung-tables", daemon=True)
        self._thread.start()
        atexit.register(self._write_last)

    @property
    def lock(self) -> RunLock:
        """The right to write the run."""
        return self._lock

    def append(self, table: str, row: Row) -> None:
        """Queue a row (see `rows`) and return at once.

        Raises TableWriteError while earlier rows cannot be written; the row is queued all the same.
        """
        if table not in self._parts:
            raise KeyError(f"no table {table!r}; the tables are {', '.join(self._parts)}")
        self._queue.append((table, row))
        if self._error is not None:
            raise self._error

    def flush(self) -> None:
        """Return when everything appended so far is on the disk. Raises TableWriteError, and keeps the rows."""
        self._write()
        if self._error is not None:
            raise self._error

    def compact(self) -> None:
        """Merge each table's parts into one, at the end of a search. Raises TableWriteError."""
        self.flush()
        with self._writing:
            try:
                for name, part in self._parts.items():
                    part.seal()
                    compact_parts(self._storage, name)
            except OSError as error:
                raise self._named(error) from error

    def close(self) -> None:
        """Flush, stop the thread and release the run, also when the flush fails. Raises TableWriteError."""
        if self._closed:
            return
        self._closed = True
        self._wake.set()
        self._thread.join()
        atexit.unregister(self._write_last)
        try:
            self.flush()
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._wake.wait(self._flush_secs):
            self._write()

    def _write(self) -> None:
        with self._writing:
            for _ in range(len(self._queue)):
                table, row = self._queue.popleft()
                self._unwritten[table].append(row)
            self._error = self._attempt(self._write_unwritten)

    def _release(self) -> None:
        if self._owns_lock:
            self._lock.release()

    def _write_unwritten(self) -> None:
        self._lock.check()
        for table, rows in self._unwritten.items():
            if rows:
                self._parts[table].write(rows)
                rows.clear()

    def _attempt(self, action: Callable[[], None]) -> TableWriteError | None:
        try:
            action()
        except Exception as error:
            return self._named(error)
        return None

    def _write_last(self) -> None:
        self._attempt(self._write)

    def _named(self, error: Exception) -> TableWriteError:
        cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return TableWriteError(
            f"cannot write the tables in {self._storage.root}: {cause}; repair that, and the same command goes on"
        )
