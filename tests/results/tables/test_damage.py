"""Damage of a run's tables is told in one line that names the file and the way on, or it changes nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from table_fuzzer import outcomes, rewrite_with_pandas, write_run

from toprung.results.tables.part_file import DamagedTableError
from toprung.results.tables.parts import part_names, put_part, read_table, read_tables
from toprung.results.tables.repair import repair_run
from toprung.results.tables.schema import TABLES, run_schemas
from toprung.results.tables.writer import RunWriter, TableWriteError
from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.report import Outcome


@pytest.fixture
def rows(search: Any) -> dict[str, Any]:
    for number in range(6):
        search.trial([0.1 * number, 0.2 * number, float("nan")], None if number == 5 else Outcome.STOPPED)
    return search.rows


@pytest.fixture
def run(tmp_path: Path, rows: dict[str, Any]) -> Path:
    write_run(tmp_path / "run", rows)
    return tmp_path / "run"


def test_no_damage_passes_for_other_rows_and_all_of_it_can_be_repaired(rows: dict[str, Any]) -> None:
    found = list(outcomes(rows, 35, seed=3))
    assert [one for one in found if one[1] not in ("told", "unchanged")] == []
    assert sum(outcome == "told" for _, outcome in found) > 10


def test_what_pandas_writes_back_is_read_as_it_was(rows: dict[str, Any]) -> None:
    rewritten = list(outcomes(rows, 14, seed=4, damages=[rewrite_with_pandas]))
    assert [one for one in rewritten if one[1] != "unchanged"] == []


@pytest.mark.parametrize("table", TABLES)
def test_a_part_of_another_table_is_told_and_left_out_by_a_repair(run: Path, table: str) -> None:
    storage, before = Storage.at(run), {name: read_table(run, name) for name in TABLES}
    foreign = [pq.read_table(run / name / part_names(storage, name)[-1]) for name in TABLES if name != table]
    for rows in [*foreign, *(each.slice(0, 0) for each in foreign)]:
        put_part(storage, table, "copy.parquet", rows)
        with pytest.raises(DamagedTableError, match=r"copy\.parquet: is no part of this table: it has "):
            read_table(run, table)
    assert repair_run(run).lost
    for name, frame in before.items():
        pd.testing.assert_frame_equal(read_table(run, name), frame)


@pytest.mark.parametrize("table", ["proposals", "epochs", "trials"])
def test_a_table_of_another_run_is_told_and_a_repair_keeps_what_is_of_one_run(
    run: Path, tmp_path: Path, rows: dict[str, Any], table: str
) -> None:
    write_run(tmp_path / "other", rows)
    shutil.rmtree(run / table)
    shutil.copytree(tmp_path / "other" / table, run / table)
    with pytest.raises(DamagedTableError, match=r"holds rows of the run '\w+' beside those of '\w+'"):
        read_tables(run)
    assert any("of another run" in line for line in repair_run(run).lost)
    found = read_tables(run)
    assert {*pd.concat([frame["run"] for frame in found])} == {"run"}
    assert len(found[0]) == len(rows["proposals"]) - (table == "proposals"), "the last trial has not ended"


def test_the_line_names_the_part_and_the_command_that_goes_on(run: Path) -> None:
    (part,) = part_names(Storage.at(run), "trials")
    (run / "trials" / part).write_bytes(b"half")
    with pytest.raises(DamagedTableError) as caught:
        read_tables(run)
    assert str(caught.value).startswith(f"{run}/trials/{part}: cannot be read (")
    assert f"`toprung repair {run}`" in str(caught.value)


def test_a_part_in_the_middle_that_is_missing_is_named(run: Path) -> None:
    with RunWriter(run, run_schemas({})) as writer:
        writer.append("epochs", {"trial_id": "t00005", "epoch": 4, "arrival_index": 99})
    first = part_names(Storage.at(run), "epochs")[0]
    (run / "epochs" / first).unlink()
    with pytest.raises(DamagedTableError, match=f"epochs/{first}: is missing"):
        read_table(run, "epochs")


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("folder_too", [True, False])
def test_a_table_that_is_lost_is_told_by_every_reader(run: Path, table: str, folder_too: bool) -> None:
    shutil.rmtree(run / table)
    if not folder_too:
        (run / table).mkdir()
    for read in (read_tables, lambda root: read_table(root, table)):
        with pytest.raises(DamagedTableError, match=rf"/{table}: holds no file; `toprung repair"):
            read(run)
    assert repair_run(run).lost
    read_tables(run)
    read_table(run, table)


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


@pytest.mark.parametrize("how", ["moved", "replaced"])
def test_a_run_folder_that_is_moved_is_not_made_anew_by_the_next_write(run: Path, how: str) -> None:
    writer = RunWriter(run, run_schemas({}), flush_secs=1e9)
    run.rename(run.with_name("elsewhere"))
    if how == "replaced":
        run.mkdir()
    writer.append("epochs", {"trial_id": "t00005", "epoch": 4, "arrival_index": 99})
    with pytest.raises(TableWriteError, match="the run folder was moved, removed or replaced"):
        writer.close()
    assert not run.exists() or not list(run.iterdir())


def test_no_unfinished_file_is_ever_in_a_table_folder(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    replace = os.replace

    def watched(source: Any, target: Any) -> None:
        seen.append((Path(source).parent, Path(target).parent))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    with RunWriter(run, run_schemas({})) as writer:
        writer.append("epochs", {"trial_id": "t00005", "epoch": 4, "arrival_index": 99})
    assert {str(target.name) for _, target in seen} & set(TABLES)
    assert {source for source, _ in seen} == {run}


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


def test_choices_that_are_no_json_are_damage(run: Path) -> None:
    with RunWriter(run, run_schemas({})) as writer:
        writer.append("space", {"name": "a", "kind": "categorical", "choices": "[1, 2]"})
        writer.append("space", {"name": "b", "kind": "categorical", "choices": "{"})
    with pytest.raises(DamagedTableError, match="1 of 2 rows have unreadable choices"):
        read_table(run, "space")
    assert any("1 rows have unreadable choices" in line for line in repair_run(run).lost)
    assert read_table(run, "space")["name"].tolist() == ["a"]


def test_a_file_in_the_place_of_a_table_is_told(run: Path) -> None:
    shutil.rmtree(run / "trials")
    (run / "trials").write_text("notes")
    for read in (read_tables, repair_run):
        with pytest.raises(InputError, match="trials is a file; must be a folder of Parquet files"):
            read(run)
