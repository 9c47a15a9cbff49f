"""A damaged run keeps what can be read of it, and what another of its tables knows."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from toprung.results.analysis.leaderboard import leaderboard
from toprung.results.repair.repair import repair_run
from toprung.results.tables.part_file import DamagedTableError
from toprung.results.tables.parts import part_names, read_reports, read_table, read_tables
from toprung.results.tables.rows import configs_of
from toprung.results.tables.schema import VAL_ACCURACY
from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Storage


def test_lost_proposals_are_rebuilt_from_the_trials_that_ended(run: Path) -> None:
    before = read_tables(run)
    shutil.rmtree(run / "proposals")
    with pytest.raises(DamagedTableError, match=r"proposals: holds no file"):
        read_tables(run)
    repaired = repair_run(run)
    assert repaired.rows == {"proposals": 5, "epochs": 15, "trials": 5, "space": 0, "rungs": 0}
    proposals, epochs, trials = read_tables(run)
    kept = before[0].iloc[:5]
    config = [name for name in kept if name.startswith("config/")]
    columns = ["trial_id", "number", "seed", *config]
    pd.testing.assert_frame_equal(proposals[columns], kept[columns])
    assert "t00005" not in set(epochs["trial_id"]) | set(trials["trial_id"])


def test_a_repair_keeps_a_part_whose_dispensable_column_is_damaged(run: Path) -> None:
    (part,) = part_names(Storage.at(run), "trials")
    file = run / "trials" / part
    columns = pq.read_metadata(file).row_group(0)
    (column,) = [
        columns.column(i)
        for i in range(columns.num_columns)
        if columns.column(i).path_in_schema == "idle_secs"
    ]
    content = bytearray(file.read_bytes())
    begin = column.dictionary_page_offset or column.data_page_offset
    content[begin + column.total_compressed_size - 2] ^= 0xFF
    file.write_bytes(content)
    before = len(read_table(run, "proposals"))
    repaired = repair_run(run)
    assert any("lost the columns" in line and "idle_secs" in line for line in repaired.lost)
    assert repaired.rows["trials"] == 5 and repaired.rows["proposals"] == before
    assert read_table(run, "trials")["idle_secs"].isna().all()
    assert (run / "damaged" / "trials" / part).exists()


def test_an_intact_run_is_left_as_it_is(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*.parquet")}
    assert repair_run(run).lost == ()
    assert {path: path.read_bytes() for path in run.rglob("*.parquet")} == before


def test_a_second_repair_finds_nothing_more(run: Path) -> None:
    shutil.rmtree(run / "epochs")
    assert repair_run(run).lost
    assert repair_run(run).lost == ()
    read_tables(run)


def test_only_a_folder_with_tables_can_be_repaired(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no tables; must be a run folder"):
        repair_run(tmp_path)


@pytest.mark.parametrize("table", ["proposals", "epochs", "trials"])
def test_a_part_that_was_written_back_without_a_column_or_with_an_index_is_repaired_or_read(
    run: Path, table: str
) -> None:
    (part,) = part_names(Storage.at(run), table)
    file, whole = run / table / part, (run / table / part).read_bytes()
    needed = {"trial_id", "number", "epoch", "seed", "outcome", "last_epoch", "run", "overflow_json"}
    for column in sorted(needed & set(pd.read_parquet(file).columns)):
        frame = pd.read_parquet(file)
        for changed in (frame.drop(columns=column), frame.set_index(column)):
            changed.to_parquet(file)
            repair_run(run)
            read_tables(run)
            for name in part_names(Storage.at(run), table):
                (run / table / name).unlink()
            file.write_bytes(whole)
            shutil.rmtree(run / "damaged", ignore_errors=True)


def _put_file(place: Path) -> None:
    place.write_text("notes")


def _put_link_loop(place: Path) -> None:
    place.symlink_to(place.name)


def _put_dangling_link(place: Path) -> None:
    place.symlink_to("nowhere")


def _put_socket(place: Path) -> None:
    folder = os.open(place.parent, os.O_RDONLY)  # the path of a socket is short
    try:
        socket.socket(socket.AF_UNIX).bind(f"/proc/self/fd/{folder}/{place.name}")
    finally:
        os.close(folder)


ODD = {
    "a file": _put_file,
    "a link that leads to no folder": _put_link_loop,
    "a named pipe": os.mkfifo,
    "a socket": _put_socket,
}


@pytest.mark.parametrize("table", ["trials", "epochs", "space"])
@pytest.mark.parametrize("kind", [*ODD, "a link that leads nowhere"])
def test_what_lies_in_the_place_of_a_table_is_told_and_moved_away_by_a_repair(
    run: Path, table: str, kind: str
) -> None:
    shutil.rmtree(run / table)
    ODD.get(kind, _put_dangling_link)(run / table)
    with pytest.raises(
        DamagedTableError, match=rf"/{table}: is a [a-z ]+,? (leads to )?no folder; `toprung repair"
    ):
        read_table(run, table)
    assert any(f"{table}: is a" in line for line in repair_run(run).lost)
    read_tables(run)
    assert len(list((run / "damaged").iterdir())) == 1
    assert repair_run(run).lost == ()


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind != "a file"])
def test_what_lies_in_the_place_of_a_part_is_told_and_moved_away_by_a_repair(run: Path, kind: str) -> None:
    (part,) = part_names(Storage.at(run), "trials")
    (run / "trials" / part).unlink()
    ODD[kind](run / "trials" / part)
    with pytest.raises(DamagedTableError, match=r"`toprung repair"):
        read_tables(run)
    assert repair_run(run).lost
    read_tables(run)
    assert repair_run(run).lost == ()


def test_the_best_and_last_values_of_lost_epochs_are_rebuilt_from_the_trials(run: Path) -> None:
    before = leaderboard(*read_tables(run), VAL_ACCURACY)
    shutil.rmtree(run / "epochs")
    lines = repair_run(run).lost
    assert any("10 rows of best and last values, rebuilt from trials" in line for line in lines)
    board = leaderboard(*read_tables(run), VAL_ACCURACY)
    same = ["trial_id", "outcome", "val_accuracy", "best_epoch", "last_epoch", "train_secs"]
    ended = before[before["outcome"] != "RUNNING"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        board[board["outcome"] != "RUNNING"][same].reset_index(drop=True), ended[same]
    )
    assert [report.metrics.keys() for report in read_reports(run)] == [
        {"val_accuracy", "parameter_count"}
    ] * 10
    assert repair_run(run).lost == ()


def test_a_rebuilt_proposal_has_the_parameters_of_its_trial_and_no_others(run: Path) -> None:
    before = configs_of(read_table(run, "proposals"))
    shutil.rmtree(run / "proposals")
    assert any("without why" in line for line in repair_run(run).lost)
    after = configs_of(read_table(run, "proposals"))
    assert after == {name: before[name] for name in after} and len(after) == 5


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("proposals", name) for name in ("number", "data_fingerprint", "proposal_reason")),
        *(("epochs", name) for name in ("val_loss", "violation", "reported_at")),
        *(("trials", name) for name in ("number", "seed", "best_epoch", "last_epoch", "ended_at")),
    ],
)
def test_a_column_that_another_program_dropped_costs_no_row(run: Path, table: str, column: str) -> None:
    (part,) = part_names(Storage.at(run), table)
    before = read_table(run, table)
    before.drop(columns=column).to_parquet(run / table / part)
    with pytest.raises(InputError, match="toprung repair"):
        read_tables(run)
    assert f"{len(before)} rows lost the columns {column}" in repair_run(run).lost[0]
    after = read_table(run, table)
    told_elsewhere = column in ("number", "seed", "best_epoch", "last_epoch")
    lost = [] if told_elsewhere else [column]
    pd.testing.assert_frame_equal(
        after.drop(columns=lost), before.drop(columns=lost), check_like=True, check_dtype=False
    )
    assert told_elsewhere or after[column].isna().all()
    leaderboard(*read_tables(run), VAL_ACCURACY)


def test_the_epochs_that_lost_the_objective_are_rebuilt_as_far_as_the_trials_tell_them(run: Path) -> None:
    (part,) = part_names(Storage.at(run), "epochs")
    read_table(run, "epochs").drop(columns="val_accuracy").to_parquet(run / "epochs" / part)
    assert any("rebuilt from trials" in line for line in repair_run(run).lost)
    assert leaderboard(*read_tables(run), VAL_ACCURACY)["val_accuracy"].notna().sum() == 5
