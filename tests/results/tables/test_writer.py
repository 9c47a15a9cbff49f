"""The writer: nobody waits for it, nothing flushed is lost, a full disk is named and survived."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from toprung.results.tables.part_file import DamagedTableError
from toprung.results.tables.parts import part_names, read_reports, read_table, read_tables
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.run_lock import RunBusyError, RunLock
from toprung.results.tables.schema import run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter, TableWriteError
from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.report import EpochReport, Outcome

ROOT = Path(__file__).parents[3]
SCHEMAS = run_schemas({"a": "int"})


def epoch(number: int) -> dict[str, Any]:
    return epoch_row(
        EpochReport(f"t{number // 10:05d}", number % 10 + 1, {"val_accuracy": 0.5}), number, "keep"
    )


def sequences(root: Path) -> list[int]:
    return [int(number) for number in read_table(root, "epochs")["arrival_index"]]


def test_rows_reach_the_disk_without_anyone_asking(tmp_path: Path) -> None:
    with RunWriter(tmp_path, SCHEMAS, flush_secs=0.01) as writer:
        writer.append("epochs", epoch(0))
        while not sequences(tmp_path):  # the suite's timeout ends a writer that never writes
            time.sleep(0.01)


def test_a_search_of_many_flushes_leaves_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toprung.results.tables.writer.PART_ROWS", 50)
    with RunWriter(tmp_path, SCHEMAS) as writer:
        for number in range(120):
            writer.append("epochs", epoch(number))
            writer.flush()
        assert len(part_names(Storage.at(tmp_path), "epochs")) == 3
        assert sequences(tmp_path) == list(range(120))
        writer.compact()
        assert len(part_names(Storage.at(tmp_path), "epochs")) == 1
        writer.append("epochs", epoch(120))
    assert sequences(tmp_path) == list(range(121))


def test_frames_of_a_search_read_back(tmp_path: Path, search: Any) -> None:
    search.trial([0.5, 0.75])
    search.trial([0.25], None)
    with RunWriter(tmp_path, SCHEMAS) as writer:
        for table, rows in search.rows.items():
            for row in rows:
                writer.append(table, row)
    proposals, epochs, trials = read_tables(tmp_path)
    assert proposals["number"].tolist() == [0, 1]
    assert epochs["val_accuracy"].tolist() == [0.5, 0.75, 0.25]
    assert trials["outcome"].tolist() == ["COMPLETED"]
    assert [report.metrics["val_accuracy"] for report in read_reports(tmp_path)] == [0.5, 0.75, 0.25]
    assert read_reports(tmp_path / "new") == []


def test_the_rows_of_many_runs_can_be_read_together(tmp_path: Path, s3: Any, search: Any) -> None:
    roots = [str(tmp_path / "first"), str(tmp_path / "second?"), s3.uri("runs/third/")]
    search.trial([0.5])
    for root in roots:
        with RunWriter(root, SCHEMAS) as writer:
            for table, rows in search.rows.items():
                writer.append(table, rows[0])
    for table in search.rows:
        together = pd.concat([read_table(root, table) for root in roots])
        assert together.groupby("run")["trial_id"].count().to_dict() == {"first": 1, "second?": 1, "third": 1}


def test_every_row_on_the_disk_has_those_it_rests_on(tmp_path: Path) -> None:
    """An epoch has its proposal although both are written in the background while rows keep coming."""
    stop = threading.Event()

    def propose_and_report(writer: RunWriter) -> None:
        number = 0
        while not stop.is_set():
            writer.append("proposals", proposal_row(f"t{number:05d}", {"a": 1}, seed=0))
            writer.append("epochs", epoch_row(EpochReport(f"t{number:05d}", 1), number, "keep"))
            number += 1
            time.sleep(0.002)  # or the table grows faster than it is read, and each read takes longer

    with RunWriter(tmp_path, SCHEMAS, flush_secs=0.001) as writer:
        thread = threading.Thread(target=propose_and_report, args=(writer,))
        thread.start()
        for _ in range(50):
            proposals, epochs, _ = read_tables(tmp_path)
            assert set(epochs["trial_id"]) <= set(proposals["trial_id"])
        stop.set()
        thread.join()


def test_a_full_disk_is_named_and_no_row_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = RunWriter(tmp_path, SCHEMAS, flush_secs=600)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr(Storage, "put", full)
        writer.append("epochs", epoch(0))
        with pytest.raises(TableWriteError, match=rf"{tmp_path}: No space left on device"):
            writer.flush()
        with pytest.raises(TableWriteError):
            writer.append("epochs", epoch(1))
    writer.flush()
    writer.append("epochs", epoch(2))
    writer.close()
    assert sequences(tmp_path) == [0, 1, 2]


def test_an_error_about_a_file_name_that_is_not_utf_8_is_written_like_any_other(tmp_path: Path) -> None:
    facts = TrialDetails(error="no such file: caf\udce9.png")
    with RunWriter(tmp_path, SCHEMAS) as writer:
        writer.append("trials", trial_row("t00000", {"a": 1}, Outcome.FAILED, [], facts))
    assert read_table(tmp_path, "trials")["error"].tolist() == [r"no such file: caf\udce9.png"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TableWriteError, match="cannot write the tables"):
        RunWriter(tmp_path / "file" / "run", SCHEMAS)


def test_a_run_that_cannot_be_opened_is_not_kept_locked(tmp_path: Path) -> None:
    damaged = tmp_path / "epochs" / "part-000000-a.parquet"
    damaged.parent.mkdir()
    damaged.write_bytes(b"not parquet")
    with pytest.raises(DamagedTableError):
        RunWriter(tmp_path, SCHEMAS)
    damaged.unlink()
    RunWriter(tmp_path, SCHEMAS).close()


def test_a_second_writer_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    with RunWriter(tmp_path, SCHEMAS), pytest.raises(RunBusyError):
        RunWriter(tmp_path, SCHEMAS)
    RunWriter(tmp_path, SCHEMAS).close()


def test_a_lock_taken_before_is_left_to_its_owner(tmp_path: Path) -> None:
    with RunLock(tmp_path) as lock:
        RunWriter(tmp_path, SCHEMAS, lock=lock).close()
        with pytest.raises(RunBusyError):
            RunWriter(tmp_path, SCHEMAS)


def test_a_wider_space_on_resume_keeps_old_rows_and_reads_with_plain_pandas(tmp_path: Path) -> None:
    for kinds, config in [
        ({"a": "int"}, {"a": 1}),
        ({"a": "int", "momentum": "float"}, {"a": 2, "momentum": 0.9}),
    ]:
        with RunWriter(tmp_path, run_schemas(kinds)) as writer:  # type: ignore[arg-type]
            writer.append("proposals", proposal_row(f"t{config['a'] - 1:05d}", config, seed=0))
    frame = pd.read_parquet(tmp_path / "proposals")
    assert frame["config/a"].tolist() == [1, 2]
    assert frame["config/momentum"].isna().tolist() == [True, False]


def test_a_table_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with (
        RunWriter(tmp_path, SCHEMAS) as writer,
        pytest.raises(KeyError, match=r"space, proposals, epochs, rungs, trials"),
    ):
        writer.append("epoch", {})


VICTIM = """
import sys
from toprung.results.tables.parts import read_table
from toprung.results.tables.rows import epoch_row, proposal_row
from toprung.results.tables.schema import run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.trainables.trial.report import EpochReport, Outcome
root = sys.argv[1]
writer = RunWriter(root, run_schemas({"a": "int"}), flush_secs=0.005)
number, proposed = len(read_table(root, "epochs")), len(read_table(root, "proposals"))
while True:
    if number >= proposed:
        writer.append("proposals", proposal_row(f"t{number:05d}", {"a": number}, seed=0))
    writer.append("epochs", epoch_row(EpochReport(f"t{number:05d}", 1), number, "keep"))
    number += 1
    if number % 50 == 0:
        writer.flush()
        print(number, flush=True)
    if number % 400 == 0:
        writer.compact()
"""


@pytest.mark.slow
def test_what_was_flushed_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    """Killed and continued while it writes, rewrites and compacts: nothing missing, nothing twice."""
    chance = random.Random(0)
    for _ in range(8):
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert victim.stdout is not None
        flushed = int(victim.stdout.readline())
        time.sleep(chance.uniform(0.0, 0.4))
        victim.send_signal(signal.SIGKILL)
        flushed = max([flushed, *map(int, victim.stdout.read().split())])
        victim.wait()
        held = sequences(tmp_path)
        assert held == list(range(len(held)))
        assert len(held) >= flushed
        for table in ("proposals", "epochs"):
            assert set(pd.read_parquet(tmp_path / table)["trial_id"]) == set(
                read_table(tmp_path, table)["trial_id"]
            )
        proposals, epochs, _ = read_tables(tmp_path)
        assert set(epochs["trial_id"]) <= set(proposals["trial_id"])


@pytest.mark.slow
def test_an_unclosed_writer_writes_when_the_interpreter_ends(tmp_path: Path) -> None:
    program = VICTIM.partition("while True")[0].replace("0.005", "600")
    program += 'writer.append("epochs", epoch_row(EpochReport("t00000", 1), 0, "keep"))'
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=True)
    assert sequences(tmp_path) == [0]


def test_plain_readers_find_every_table_before_its_first_row(tmp_path: Path) -> None:
    with RunWriter(tmp_path, SCHEMAS):
        for name, schema in SCHEMAS.items():
            frame = pd.read_parquet(tmp_path / name)
            assert frame.empty and list(frame.columns) == schema.names
