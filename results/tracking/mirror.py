"""The one writer of a run's tracker: a process of its own that reads the tables and brings it up to date with them.

    python -m toprung.results.tracking.mirror          started by `Tracker`, which sends it commands on standard input

A tracker is a view of the tables. MLflow takes seconds to import, tens of milliseconds a trial and may be down for
hours; all of that happens here, at a low priority. A trial is written when it has ended; those that run are written in
turn, for a moment every time. The process ends with whoever started it, and what it missed is written the next time,
or by `toprung sync`. With several trackers each has a process, so that none waits for another.
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from toprung.results.tables.parts import read_parts
from toprung.results.tables.schema import EPOCHS, OVERFLOW, PROPOSALS, TRIALS
from toprung.results.tracking.search_end import SearchEnd
from toprung.results.tracking.search_history import SearchHistory
from toprung.results.tracking.tracked_runs import RefusedError
from toprung.results.tracking.tracker_kinds import connected, load, may_be_silent
from toprung.results.tracking.tracking_settings import Tracking
from toprung.results.tracking.trial_entries import PendingTrialUpdate
from toprung.trainables.system.storage import Root, Storage
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from toprung.results.tables.rows import Row
    from toprung.results.tracking.search_history import SearchFacts
    from toprung.results.tracking.tracked_runs import TrackedRuns
    from toprung.trainables.trial.objectives import Objective

PERIOD_SECS = 2.0
LONGEST_PAUSE_SECS = 60.0

RUNNING_SECS = 0.25
"""How long trials that run are written, every time."""

READING_SHARE = 0.1
"""The largest share of the time that is spent on reading the tables again."""
LAST_WORD_SECS = 5.0
SILENCE_PERIODS = 5  # so long a server is waited for when the search has ended
DRIVER_GONE = "its driver was killed"
NICENESS = 19  # below the 15 of Ray's workers, which train
MIRRORED = (PROPOSALS, EPOCHS, TRIALS)
ERROR_CHARS = 200


class TableCursor:
    """Reads the rows of a run's tables that were not there at the last call; rows are only ever added, in order."""

    def __init__(self, root: Root) -> None:
        self._storage = Storage.at(root)
        self._rows_read = dict.fromkeys(MIRRORED, 0)

    def new_rows(self) -> dict[str, list[Row]]:
        """New rows by table. A trial that is there as ended has all its epochs, an epoch has its proposal."""
        new = {table: self._new_rows_of(table) for table in reversed(MIRRORED)}
        # Only now: where one table cannot be read, all rows are new the next time.
        for table, rows in new.items():
            self._rows_read[table] += len(rows)
        return new

    def _new_rows_of(self, table: str) -> list[Row]:
        rows = read_parts(self._storage, table)
        if rows is None:
            return []
        new: list[Row] = rows.slice(self._rows_read[table]).to_pylist()
        return [{**row, **json.loads(row[OVERFLOW] or "{}")} for row in new]


class Mirror:
    """Writes what is new in the tables to a tracker, each time `sync` is called.

    Args:
        cursor: Reads the tables.
        connect: Finds the runs, given what the tables say of the search.
        objective: The metric of the best value; None for none.
    """

    def __init__(
        self,
        cursor: TableCursor,
        connect: Callable[[SearchFacts], TrackedRuns],
        objective: Objective | None = None,
    ) -> None:
        self._cursor, self._connect = cursor, connect
        self._history = SearchHistory(objective)
        self._pending: dict[str, PendingTrialUpdate] = {}
        self._runs: TrackedRuns | None = None
        self.refused: dict[str, str] = {}
        """Why the tracker does not take something of a trial, by trial."""
        self.reading_secs = 0.0
        """What the last reading of the tables took."""
        self.answered_at_secs = -math.inf
        """When the tracker answered last, on the monotonic clock."""

    @property
    def facts(self) -> SearchFacts:
        """What the tables said of the search at the last `sync`."""
        return self._history.facts()

    def sync(self, everything: bool = False) -> None:
        """Write the trials that have ended, then those that run: at least one, all of them with `everything`.

        Raises what reading and writing raise; what was not written is kept and is tried again by the next call.
        """
        try:
            self._read()
            runs = self._connected()
            for trial_id in [name for name, update in self._pending.items() if update.end is not None]:
                self._write(runs, trial_id)
            until = time.monotonic() + RUNNING_SECS
            for trial_id in list(self._pending):
                self._write(runs, trial_id)
                if not everything and time.monotonic() > until:
                    break
            runs.describe_search(self.facts)
            self.answered_at_secs = time.monotonic()
        except Exception:
            self._runs = None
            raise

    @property
    def written(self) -> int:
        """How many runs lacked something, since the tracker was reached last."""
        return len(self._runs.written) if self._runs else 0

    def end(self, end: SearchEnd) -> None:
        """Close the search's own run; after a `sync` that wrote everything."""
        self._connected().end_search(end)

    def _connected(self) -> TrackedRuns:
        if self._runs is None:
            self._runs = self._connect(self.facts)
            self.answered_at_secs = time.monotonic()
        return self._runs

    def _read(self) -> None:
        began = time.monotonic()
        for table, rows in self._cursor.new_rows().items():
            for row in rows:
                self._history.add(table, row)
                self._add(table, row)
        self.reading_secs = time.monotonic() - began

    def _add(self, table: str, row: Row) -> None:
        update = self._pending.setdefault(str(row["trial_id"]), PendingTrialUpdate())
        if table == PROPOSALS:
            update.proposal = row
        elif table == EPOCHS:
            update.epochs[int(row["epoch"])] = row
        elif table == TRIALS:
            update.end = row

    def _write(self, runs: TrackedRuns, trial_id: str) -> None:
        update = self._pending.pop(trial_id)
        try:
            runs.write(trial_id, update)
            self.answered_at_secs = time.monotonic()
        except RefusedError as error:
            self.refused[trial_id] = one_line(error)
        except Exception:
            self._pending[trial_id] = update  # now the last in line: a trial that is refused delays no other
            raise


class DriverCommands:
    """What the driver sends, a line of JSON each: first what to follow, in the end how the search ended."""

    def __init__(self, lines: Iterator[str]) -> None:
        start = json.loads(next(lines))
        self.root: str = start["root"]
        self.period_secs: float = start["period_secs"]
        self.tracking = Tracking.from_dict(start["tracking"])
        self.end: SearchEnd | None = None
        self.has_ended = threading.Event()
        self._lines = lines

    def listen(self) -> None:
        """Return when no more commands come: whoever started this process has ended, or waits no longer."""
        for line in self._lines:
            self._ended(SearchEnd.from_dict(json.loads(line)))
        if self.end is None:
            self._ended(SearchEnd.now("KILLED", DRIVER_GONE))

    def _ended(self, end: SearchEnd) -> None:
        self.end = end
        self.has_ended.set()


def follow(mirror: Mirror, commands: DriverCommands, warn: Callable[[str], None]) -> None:
    """Keep the tracker up to date until the search has ended and all is written; `warn` gets a line on trouble."""
    pause_secs = commands.period_secs
    warned = False
    refused: set[str] = set()
    while True:
        commands.has_ended.wait(pause_secs)
        end = commands.end
        try:
            mirror.sync(everything=end is not None)
            for trial_id in mirror.refused.keys() - refused:
                warn(f"does not take {trial_id} ({mirror.refused[trial_id]}); the tables have it")
            refused |= mirror.refused.keys()
            if end is not None:
                mirror.end(end)
                return
            pause_secs = max(commands.period_secs, mirror.reading_secs / READING_SHARE)
        except Exception as error:  # whatever the tracker or the storage raises: the search goes on
            if not warned:
                warn(f"does not answer ({one_line(error)}); the search goes on without it")
            warned = True
            pause_secs = min(max(2 * pause_secs, 2 * commands.period_secs), LONGEST_PAUSE_SECS)
            if end is not None:
                time.sleep(min(pause_secs, PERIOD_SECS))


def one_line(error: BaseException) -> str:
    """What went wrong, without secrets: what the system says where a library wraps it in the names of its libraries."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return mask_secrets(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return mask_secrets(first_line)[:ERROR_CHARS]


def _listen_and_exit(commands: DriverCommands) -> None:
    commands.listen()
    time.sleep(LAST_WORD_SECS)  # to write that the search was killed
    os._exit(1)


def _exit_when_silent(commands: DriverCommands, mirror: Mirror) -> None:
    """Once the search has ended it does not wait for a server that does not answer."""
    commands.has_ended.wait()
    since_secs, longest_secs = time.monotonic(), SILENCE_PERIODS * commands.period_secs
    while time.monotonic() - max(since_secs, mirror.answered_at_secs) < longest_secs:
        time.sleep(0.2)
    os._exit(1)


def main() -> None:
    """Follow a run; a line on standard output is a note for the user, exit code 0: the tracker has everything."""
    with suppress(OSError):
        os.nice(NICENESS)
    notes = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a tracker prints is no note
    commands = DriverCommands(sys.stdin)

    tracking = commands.tracking

    def connect(facts: SearchFacts) -> TrackedRuns:
        runs = connected(tracking, facts)
        runs.begin_search()
        return runs

    mirror = Mirror(TableCursor(commands.root), connect, tracking.objective)
    threading.Thread(target=_listen_and_exit, args=(commands,), daemon=True).start()
    load(tracking)
    if may_be_silent(tracking):
        threading.Thread(target=_exit_when_silent, args=(commands, mirror), daemon=True).start()
    follow(mirror, commands, lambda line: print(line, file=notes))
    os._exit(0)  # a thread still reads standard input, which Python would wait for


if __name__ == "__main__":
    main()
