"""What mirrors the tables to MLflow, with MLflow left out: it warns once, tells all in the end, and nothing twice."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from toprung.results.tables.part_file import DamagedTableError
from toprung.results.tables.schema import kinds_of, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.results.tracking.mirror import DriverCommands, Mirror, TableCursor, follow
from toprung.results.tracking.search_end import SearchEnd
from toprung.results.tracking.tracked_runs import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from toprung.results.tracking.search_history import SearchFacts
    from toprung.results.tracking.trial_entries import PendingTrialUpdate

START = json.dumps(
    {
        "root": "",
        "period_secs": 0.01,
        "tracking": {"uri": "http://tracking.example", "experiment": "digits", "run": "quickstart"},
    }
)
ENDED = SearchEnd.now("KILLED", "interrupted")
END = json.dumps(ENDED.as_dict())


class Recorded:
    """Remembers what it is told; refuses as long as `down` is set, and always the trials in `refused`."""

    def __init__(self, refused: frozenset[str] = frozenset(), failing: frozenset[str] = frozenset()) -> None:
        self.refused, self.failing = refused, failing
        self.down = threading.Event()
        self.tried = threading.Semaphore(0)
        self.calls: list[str] = []
        self.epochs: dict[str, list[int]] = {}
        self.ends: dict[str, str] = {}
        self.closed: SearchEnd | None = None
        self.facts: SearchFacts | None = None
        self.written: set[str] = set()

    def connect(self, facts: SearchFacts) -> Recorded:
        self.tried.release()
        if self.down.is_set():
            raise ConnectionError("no route to host\nand a long trace")
        return self

    def write(self, trial_id: str, update: PendingTrialUpdate) -> None:
        self.calls.append(trial_id)
        if trial_id in self.refused:
            raise RefusedError("a value that the server refuses")
        if trial_id in self.failing:
            raise ConnectionError("the server broke off")
        self.epochs.setdefault(trial_id, []).extend(update.epochs)
        if update.end is not None:
            self.ends[trial_id] = update.end["outcome"]

    def describe_search(self, facts: SearchFacts) -> None:
        self.facts = facts

    def end_search(self, end: SearchEnd) -> None:
        self.closed = end


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunWriter]:
    with RunWriter(tmp_path, run_schemas(kinds_of([{"learning_rate": 0.1}]))) as made:
        yield made


def append(writer: RunWriter, rows: dict[str, list[dict[str, Any]]], trial_id: str = "") -> None:
    """Put the rows into the tables, those of one trial or all."""
    for table, of_table in rows.items():
        for row in of_table:
            if row["trial_id"].startswith(trial_id):
                writer.append(table, row)
    writer.flush()


def followed(mirror: Mirror, heard: list[str], ends: bool = True) -> tuple[threading.Thread, DriverCommands]:
    """A thread that follows; with `ends` the driver has told the end, else it has been killed."""
    commands = DriverCommands(iter([START, END] if ends else [START]))
    commands.listen()
    thread = threading.Thread(target=follow, args=(mirror, commands, heard.append), daemon=True)
    thread.start()
    return thread, commands


def test_everything_in_the_tables_is_written_by_the_end(writer, search, tmp_path: Path) -> None:
    search.trial([0.5, 0.75])
    search.trial([0.5], None)
    append(writer, search.rows)
    runs, heard = Recorded(), []
    thread, _ = followed(Mirror(TableCursor(tmp_path), runs.connect), heard)
    thread.join(timeout=60)
    assert runs.epochs == {"t00000": [1, 2], "t00001": [1]}
    assert runs.ends == {"t00000": "COMPLETED"}
    assert runs.closed == ENDED
    assert heard == []


def test_rows_are_told_once_while_the_tables_grow_and_are_compacted(writer, search, tmp_path: Path) -> None:
    trials = [search.trial([0.5, 0.75]) for _ in range(3)]
    runs = Recorded()
    mirror = Mirror(TableCursor(tmp_path), runs.connect)
    mirror.sync(everything=True)
    for trial_id in trials:
        append(writer, search.rows, trial_id)
        if trial_id == "t00001":
            writer.compact()
        mirror.sync(everything=True)
        writer.compact()
        mirror.sync(everything=True)
    assert runs.calls == trials
    assert runs.epochs == {trial_id: [1, 2] for trial_id in trials}


def test_a_server_that_comes_back_hears_everything_and_the_user_one_note(
    writer, search, tmp_path: Path
) -> None:
    search.trial([0.5, 0.75])
    append(writer, search.rows)
    runs, heard = Recorded(), []
    runs.down.set()
    thread, _ = followed(Mirror(TableCursor(tmp_path), runs.connect), heard)
    for _ in range(3):
        runs.tried.acquire()
    runs.down.clear()
    thread.join(timeout=60)
    assert runs.epochs == {"t00000": [1, 2]}
    assert heard == ["does not answer (no route to host); the search goes on without it"]


def test_a_trial_that_the_server_fails_at_holds_up_no_other(writer, search, tmp_path: Path) -> None:
    failing = search.trial([0.5])
    search.trial([0.5])
    append(writer, search.rows)
    runs = Recorded(failing=frozenset({failing}))
    mirror = Mirror(TableCursor(tmp_path), runs.connect)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            mirror.sync(everything=True)
    assert runs.ends == {"t00001": "COMPLETED"}
    assert runs.calls.count("t00001") == 1


def test_a_trial_the_server_refuses_is_named_and_the_rest_written(writer, search, tmp_path: Path) -> None:
    refused = search.trial([0.5])
    search.trial([0.5])
    append(writer, search.rows)
    runs, heard = Recorded(frozenset({refused})), []
    thread, _ = followed(Mirror(TableCursor(tmp_path), runs.connect), heard)
    thread.join(timeout=60)
    assert runs.ends == {"t00001": "COMPLETED"}
    assert runs.closed == ENDED
    assert heard == [f"does not take {refused} (a value that the server refuses); the tables have it"]


def test_a_driver_that_is_killed_leaves_a_search_that_is_killed(writer, search, tmp_path: Path) -> None:
    search.trial([0.5])
    append(writer, search.rows)
    runs = Recorded()
    thread, _ = followed(Mirror(TableCursor(tmp_path), runs.connect), [], ends=False)
    thread.join(timeout=60)
    assert runs.ends == {"t00000": "COMPLETED"}
    assert runs.closed is not None
    assert runs.closed.status == "KILLED"


def test_trials_that_ended_are_written_before_those_that_run_and_those_in_turn(
    writer, search, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("toprung.results.tracking.mirror.RUNNING_SECS", 0.0)
    for _ in range(2):
        search.trial([0.5], None)
    search.trial([0.5])
    append(writer, search.rows)
    runs = Recorded()
    mirror = Mirror(TableCursor(tmp_path), runs.connect)
    mirror.sync()
    assert runs.calls == ["t00002", "t00000"]
    mirror.sync()
    assert runs.calls == ["t00002", "t00000", "t00001"]


def test_tables_that_cannot_be_read_are_read_again(writer, search, tmp_path: Path) -> None:
    search.trial([0.5])
    append(writer, search.rows)
    (damaged,) = (tmp_path / "trials").glob("*.parquet")
    content = damaged.read_bytes()
    damaged.write_bytes(b"half a file")
    runs, heard = Recorded(), []
    thread, _ = followed(Mirror(TableCursor(tmp_path), runs.connect), heard)
    while not heard:
        time.sleep(0.01)
    damaged.write_bytes(content)
    thread.join(timeout=60)
    assert runs.ends == {"t00000": "COMPLETED"}
    assert len(heard) == 1


def test_a_table_that_cannot_be_read_costs_the_others_no_rows(writer, search, tmp_path: Path) -> None:
    search.trial([0.5, 0.75])
    append(writer, search.rows)
    (damaged,) = (tmp_path / "epochs").glob("*.parquet")
    content = damaged.read_bytes()
    damaged.write_bytes(b"half a file")
    runs = Recorded()
    mirror = Mirror(TableCursor(tmp_path), runs.connect)
    with pytest.raises(DamagedTableError):
        mirror.sync()
    damaged.write_bytes(content)
    mirror.sync(everything=True)
    assert runs.epochs == {"t00000": [1, 2]}
    assert runs.ends == {"t00000": "COMPLETED"}
