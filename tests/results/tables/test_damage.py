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

from toprung.results.repair.repair import repair_run
from toprung.results.tables.part_file import DamagedTableError
from toprung.results.tables.parts import part_names, put_part, read_table, read_tables
from toprung.results.tables.schema import TABLES, run_schemas
from toprung.results.tables.writer import RunWriter, TableWriteError
from toprung.trainables.system.storage import Storage


def test_no_damage_passes_for_other_rows_and_all_of_it_can_be_repaired(rows: dict[str, Any]) -> None:
    found = list(outcomes(rows, 42, seed=3))
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
def test_a_table_of_another_name_is_told_where_the_runs_of_an_earlier_version_have_no_id(
    tmp_path: Path, rows: dict[str, Any], table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toprung.results.tables.writer.with_run_id", lambda schema, _: schema)
    run = tmp_path / "run"
    for root in (run, tmp_path / "other"):
        write_run(root, rows)
    read_tables(run)
    shutil.rmtree(run / table)
    shutil.copytree(tmp_path / "other" / table, run / table)
    with pytest.raises(DamagedTableError, match=r"holds rows of the run '\w+' beside those of '\w+'"):
        read_tables(run)
    assert any("of another run" in line for line in repair_run(run).lost)
    found = read_tables(run)
    assert {*pd.concat([frame["run"] for frame in found])} == {"run"}
    assert len(found[0]) == len(rows["proposals"]) - (table == "proposals"), "the last trial has not ended"


@pytest.mark.parametrize("whole_table", [True, False])
@pytest.mark.parametrize("table", TABLES)
def test_parts_of_another_run_of_the_same_name_are_told_and_left_out_by_a_repair(
    run: Path, tmp_path: Path, rows: dict[str, Any], table: str, whole_table: bool
) -> None:
    other = tmp_path / "elsewhere" / "run"
    write_run(other, rows)
    before = read_tables(run)
    if whole_table:
        shutil.rmtree(run / table)
    shutil.copytree(other / table, run / table, dirs_exist_ok=True)
    with pytest.raises(DamagedTableError, match="is of another run with the same name; `toprung repair"):
        read_table(run, table)
    assert any("of another run with the same name" in line for line in repair_run(run).lost)
    after = read_tables(run)
    assert whole_table or all(map(pd.DataFrame.equals, before, after))
    assert repair_run(run).lost == ()


def test_a_run_keeps_its_id_when_it_is_copied_moved_or_its_file_is_lost(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "copied")
    (run / "run_identity").unlink()
    for root in (run, tmp_path / "copied"):
        RunWriter(root, run_schemas({})).close()
        read_tables(root)
    assert (run / "run_identity").read_text() == (tmp_path / "copied" / "run_identity").read_text()


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


def test_choices_that_are_no_json_are_damage(run: Path) -> None:
    with RunWriter(run, run_schemas({})) as writer:
        writer.append("space", {"name": "a", "kind": "categorical", "choices": "[1, 2]"})
        writer.append("space", {"name": "b", "kind": "categorical", "choices": "{"})
    with pytest.raises(DamagedTableError, match="1 of 2 rows have unreadable choices"):
        read_table(run, "space")
    assert any("1 rows have unreadable choices" in line for line in repair_run(run).lost)
    assert read_table(run, "space")["name"].tolist() == ["a"]
