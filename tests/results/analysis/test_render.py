"""The same board for people and for programs."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from toprung.results.analysis.leaderboard import leaderboard
from toprung.results.analysis.render import FORMATS, render, write
from toprung.results.tables.rows import rows_table
from toprung.results.tables.schema import VAL_ACCURACY, kinds_of, run_schemas
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def board(search: Any) -> pd.DataFrame:
    search.trial([0.5, 0.625])
    search.trial([0.75], Outcome.STOPPED)
    search.trial([], None)
    kinds = kinds_of(
        [{"learning_rate": 0.1, "optimizer": "x", "momentum": 0.1, "blocks": 1, "nesterov": True}]
    )
    schemas = run_schemas(kinds)
    proposals, epochs, trials = (
        rows_table(search.rows[name], schemas[name]).to_pandas() for name in search.rows
    )
    return leaderboard(proposals, epochs, trials, VAL_ACCURACY)


def test_people_see_each_trial_with_the_parameters_it_has(board: pd.DataFrame) -> None:
    lines = render(board, "rich", title="digits [run]", width=140).decode().splitlines()
    assert lines[0].strip() == "digits [run]", "brackets in a name are no markup"
    cells = [line.split() for line in lines]
    assert cells[1] == ["trial", "val", "best", "last", "train"]
    assert cells[2] == ["rank", "id", "outcome", "accuracy", "epoch", "epoch", "secs", "configuration"]
    shown = ["blocks=3", "learning_rate=0.2", "momentum=0.9", "nesterov=True", "optimizer=sgd"]
    assert cells[3] == ["1", "t00001", "STOPPED", "0.75", "1", "1", "1", *shown]
    assert cells[5] == ["3", "t00002", "RUNNING", "0", "0", "learning_rate=0.1", "optimizer=adam"]


def test_a_narrow_terminal_shows_every_value_whole(board: pd.DataFrame) -> None:
    text = render(board, "rich", width=80).decode()
    assert max(map(len, text.splitlines())) <= 80
    assert "0.625" in text
    assert "t00001" in text


@pytest.mark.parametrize("width", [40, 60, 80])
def test_without_room_beside_the_table_configurations_stand_below_it(board: pd.DataFrame, width: int) -> None:
    lines = render(board, "rich", width=width).decode().splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("t00001  blocks=3"))
    told = " ".join(" ".join(lines[start:]).split())
    assert "t00001 blocks=3 learning_rate=0.2 momentum=0.9 nesterov=True optimizer=sgd" in told
    assert "configuration" not in " ".join(lines)


def test_what_all_trials_share_is_said_once(board: pd.DataFrame) -> None:
    alike = board.assign(**{"config/batch_size": 32, "config/flip": True})
    text = render(alike, "rich", width=160).decode()
    assert text.splitlines()[-1] == "in all  batch_size=32 flip=True"
    assert text.count("batch_size") == 1
    assert "in all" not in render(alike.head(1), "rich", width=160).decode()


def test_programs_get_every_column(board: pd.DataFrame) -> None:
    records = json.loads(render(board, "json"))
    assert records[0]["config/blocks"] == 3
    assert records[1]["config/momentum"] is None
    assert records[2]["val_accuracy"] is None
    assert list(pd.read_csv(io.BytesIO(render(board, "csv"))).columns) == list(board.columns)
    pd.testing.assert_frame_equal(pd.read_parquet(io.BytesIO(render(board, "parquet"))), board)


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_file_and_standard_output_get_the_same(
    board: pd.DataFrame, fmt: Any, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with capfdbinary.disabled():
        write(board, fmt, tmp_path / "out")
    write(board, fmt)
    printed = capfdbinary.readouterr().out
    assert printed
    if fmt != "rich":
        assert printed == (tmp_path / "out").read_bytes()


def test_json_holds_every_digit_of_a_float() -> None:
    values = [0.1 + 0.2, 1e-17, 2.0**60 + 0.0, 1 / 3, float("inf")]
    records = json.loads(render(pd.DataFrame({"value": values}), "json"))
    assert [record["value"] for record in records] == [*values[:4], None]
