"""`toprung table`: filters, sorting, columns and Markdown; values are never cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from toprung.results.analysis.render import FORMATS, render
from toprung.results.run import load
from toprung.search.arguments import TABLE_FORMATS as OFFERED
from toprung.search.cli import main
from toprung.search.runs.run_folder import RunFolder


@pytest.fixture
def shown(made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    folder = made_run()

    def show(*arguments: str) -> str:
        code = main(["table", folder.root, *arguments])
        captured = capsys.readouterr()
        return captured.out if code == 0 else f"exit {code}: {captured.err}"

    return show


def rows(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_every_format_that_is_offered_can_be_written() -> None:
    assert OFFERED == FORMATS
    for fmt in FORMATS:
        assert render(pd.DataFrame({"trial_id": ["t00000"]}), fmt)


def test_rows_are_filtered_by_columns_of_the_board_the_table_and_the_parameters(
    shown: Callable[..., str],
) -> None:
    everything = rows(shown("--format", "json"))
    completed = rows(
        shown("--format", "json", "--where", "outcome == 'COMPLETED' and best_val_accuracy > 0.5")
    )
    assert [row["trial_id"] for row in completed] == [
        row["trial_id"]
        for row in everything
        if row["outcome"] == "COMPLETED" and (row["val_accuracy"] or 0) > 0.5
    ]
    by_rate = [row["trial_id"] for row in everything if row["config/learning_rate"] < 0.001]
    for name in ("learning_rate", "config/learning_rate", "`config/learning_rate`"):
        assert [
            row["trial_id"] for row in rows(shown("--format", "json", "--where", f"{name} < 0.001"))
        ] == by_rate
    assert rows(shown("--format", "json", "--epochs", "--where", "epoch == 9"))[0]["epoch"] == 9


def test_rows_are_sorted_and_columns_chosen(shown: Callable[..., str]) -> None:
    given = ["--format", "json", "--columns", "trial_id, learning_rate,rung_threshold", "--sort"]
    ascending = rows(shown(*given, "learning_rate"))
    assert list(ascending[0]) == ["trial_id", "config/learning_rate", "rung_threshold"]
    rates = [row["config/learning_rate"] for row in ascending]
    assert rates == sorted(rates)
    assert [
        row["config/learning_rate"] for row in rows(shown(*given[:-1], "--sort=-learning_rate"))
    ] == rates[::-1]


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["--where", "outcome = 'COMPLETED'"], "--where"),
        (["--where", "nothing > 3"], "--where"),
        (["--where", "last_epoch + 1"], "--where"),
        (["--where", "@pd"], "--where"),
        (["--where", "outcome.__class__"], "--where"),
        (["--sort", "nothing"], "--sort"),
        (["--columns", "trial_id,nothing"], "--columns"),
        (["--pareto"], "--pareto"),
    ],
)
def test_a_condition_or_a_column_that_is_none_is_told_in_one_line(
    shown: Callable[..., str], arguments: list[str], where: str
) -> None:
    told = shown(*arguments)
    assert told.startswith(f"exit 2: toprung: {where}: ") and len(told.splitlines()) == 1


@pytest.mark.parametrize("width", [40, 80, 110])
@pytest.mark.parametrize("epochs", [False, True])
def test_no_id_and_no_value_is_cut_however_narrow_the_terminal(
    made_run: Callable[..., Any], epochs: bool, width: int
) -> None:
    run = load(made_run().root)
    frame = run.epochs.drop(columns="overflow_json") if epochs else run.leaderboard()
    text = render(frame, "rich", width=width).decode()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    for name in frame["trial_id"]:
        assert name in text


@pytest.mark.parametrize(
    ("option", "given"), [("--sort", "best_val_acuracy"), ("--where", "rank > 0 and best_val_acuracy > 0.5")]
)
def test_a_misspelt_column_is_told_the_nearest(shown: Callable[..., str], option: str, given: str) -> None:
    told = shown(option, given)
    assert 'did you mean "best_val_accuracy"? allowed are rank, ' in told


def test_a_run_without_a_retrained_model_says_what_makes_one(shown: Callable[..., str]) -> None:
    assert "has no retrained model yet: toprung retrain " in shown("--retrained")
    assert rows(shown("--retrained", "--format", "json")) == []


def test_epochs_fit_into_80_columns(shown: Callable[..., str], made_run: Callable[..., RunFolder]) -> None:
    text = shown("--epochs")
    lines = [line.rstrip() for line in text.splitlines() if not line.startswith("failed")]
    assert max(map(len, lines)) <= 80
    assert "t00000" in text and "decision" in text and not any("reported" in line for line in lines)


def test_markdown_leaves_out_what_all_trials_share(shown: Callable[..., str]) -> None:
    lines = shown("--format", "markdown", "--top", "3").splitlines()
    assert lines[0].startswith("| rank | trial_id | outcome | val_accuracy |") and lines[1].startswith(
        "|---|---|"
    )
    assert len(lines) == 5 and "clip_norm" not in lines[0] and "learning_rate" in lines[0]
    assert {line.count("|") for line in lines} == {lines[0].count("|")}


def test_the_leaderboard_has_no_column_without_a_value(made_run: Callable[..., Any]) -> None:
    board = load(made_run().root).leaderboard()
    assert board.notna().any().all()
