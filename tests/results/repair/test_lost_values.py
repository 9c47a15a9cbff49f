"""Columns that another program left out of a part are told, and filled with what other rows and tables know."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from toprung.results.repair.repair import repair_run
from toprung.results.tables.part_file import DamagedTableError
from toprung.results.tables.parts import part_names, read_table, read_tables
from toprung.results.tables.recorded_columns import COLUMNS_FILE, recorded_columns
from toprung.results.tables.rows import configs_of
from toprung.results.tables.schema import TABLES, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.trainables.system.storage import Storage

CONFIG = ("config/learning_rate", "config/optimizer", "config/blocks", "config/nesterov")


def _write_back_without(run: Path, table: str, columns: Iterable[str]) -> pd.DataFrame:
    """What the table was, one part of which another program has written back without these columns."""
    (part,) = part_names(Storage.at(run), table)
    before = read_table(run, table)
    before.drop(columns=list(columns)).to_parquet(run / table / part)
    return before


@pytest.mark.parametrize("table", TABLES)
def test_each_column_that_a_part_lacks_is_told_by_name(run: Path, table: str) -> None:
    (part,) = part_names(Storage.at(run), table)
    before = read_table(run, table)
    for column in before.columns:
        before.drop(columns=column).to_parquet(run / table / part)
        with pytest.raises(DamagedTableError, match=rf"{part}: lacks the columns {column}; `toprung repair"):
            read_table(run, table)


def test_many_columns_that_a_part_lacks_are_told_in_a_short_line(run: Path) -> None:
    _write_back_without(run, "trials", [*CONFIG, "best_val_accuracy", "last_val_accuracy"])
    with pytest.raises(DamagedTableError, match=r"lacks the columns .*, .*, .* and 3 more; `toprung repair"):
        read_tables(run)


@pytest.mark.parametrize("columns", [[name] for name in CONFIG] + [CONFIG, ["overflow_json"]])
@pytest.mark.parametrize("table", ["proposals", "trials"])
def test_the_configurations_of_ended_trials_are_filled_from_the_other_table(
    run: Path, table: str, columns: list[str]
) -> None:
    before = configs_of(_write_back_without(run, table, columns))
    assert any(f"{len(before)} rows lost the columns" in line for line in repair_run(run).lost)
    after = configs_of(read_table(run, table))
    ended = set(read_table(run, "trials")["trial_id"])
    assert after == {name: before[name] for name in sorted(ended)} and len(ended) == 5
    read_tables(run)
    assert repair_run(run).lost == ()


def test_a_configuration_that_no_table_holds_whole_takes_its_rows_with_it(run: Path) -> None:
    for table in ("proposals", "trials"):
        _write_back_without(run, table, ["config/optimizer"])
    lost = repair_run(run).lost
    assert "proposals: 6 rows without their whole configuration" in lost
    assert all(len(frame) == 0 for frame in read_tables(run))
    assert set(CONFIG) <= set(read_table(run, "proposals").columns)


def test_an_overflow_that_no_table_holds_costs_only_what_overflowed(run: Path) -> None:
    for table in ("proposals", "trials"):
        _write_back_without(run, table, ["overflow_json"])
    repair_run(run)
    assert [len(frame) for frame in read_tables(run)] == [5, 15, 5]


@pytest.mark.parametrize(
    "columns",
    [
        ["best_val_accuracy"],
        ["last_val_accuracy"],
        ["best_val_accuracy", "best_epoch", "last_val_accuracy", "last_epoch"],
    ],
)
def test_the_best_and_last_values_are_filled_from_the_epochs(run: Path, columns: list[str]) -> None:
    before = _write_back_without(run, "trials", columns)
    assert repair_run(run).lost
    after = read_table(run, "trials")
    pd.testing.assert_frame_equal(after, before, check_like=True, check_dtype=False)
    read_tables(run)


def test_the_seed_of_a_trial_that_has_not_ended_follows_from_those_of_others(run: Path) -> None:
    (part,) = part_names(Storage.at(run), "proposals")
    before = read_table(run, "proposals")
    before.assign(seed=before["seed"].where(before["number"] < 5)).to_parquet(run / "proposals" / part)
    with pytest.raises(DamagedTableError, match="1 of 6 rows have no seed"):
        read_tables(run)
    assert repair_run(run).lost == ("proposals: 1 seeds, filled with what other rows know",)
    pd.testing.assert_frame_equal(read_table(run, "proposals"), before, check_dtype=False)


def test_a_whole_number_stays_one_where_another_program_made_floats_of_the_column(run: Path) -> None:
    (part,) = part_names(Storage.at(run), "proposals")
    before = read_table(run, "proposals")
    before.astype({"config/blocks": "float64", "config/nesterov": "float64"}).to_parquet(
        run / "proposals" / part
    )
    after = configs_of(read_table(run, "proposals"))
    assert after == configs_of(before)
    assert {type(config.get("blocks")) for config in after.values()} == {int, type(None)}
    assert {type(config.get("nesterov")) for config in after.values()} == {bool, type(None)}


def test_a_part_from_before_the_space_was_widened_lacks_nothing(run: Path) -> None:
    RunWriter(run, run_schemas({"width": "int"}, metrics=["val_auc"])).close()
    assert {"config/width", "config/blocks"} <= set(read_table(run, "proposals").columns)
    assert "val_auc" in recorded_columns(Storage.at(run), "epochs")
    (part,) = part_names(Storage.at(run), "proposals")
    read_table(run, "proposals").to_parquet(run / "proposals" / part)
    read_tables(run)


@pytest.mark.parametrize(
    "content", [None, b"", b"{}", b'{"columns": {"trials": {"x": "int64"}}, "sha256": ""}', b"[1]"]
)
def test_without_the_record_of_the_columns_a_part_is_taken_as_it_is(run: Path, content: bytes | None) -> None:
    file = run / COLUMNS_FILE
    file.unlink() if content is None else file.write_bytes(content)
    _write_back_without(run, "proposals", ["config/nesterov"])
    assert len(read_tables(run)[0]) == 6
    assert recorded_columns(Storage.at(run), "trials") == {}
    RunWriter(run, run_schemas({})).close()
    assert "config/learning_rate" in recorded_columns(Storage.at(run), "trials")
