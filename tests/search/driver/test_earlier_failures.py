"""Failed trials are told with their reasons, and trained again under their names where the user asks for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from toprung.results.tables.parts import read_table, read_tables
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import main
from toprung.search.driver.earlier_failures import keep_code_and_retry
from toprung.search.driver.failed_trials import failure_summary
from toprung.search.driver.resume import RecordedSearch
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.search.strategy.strategy import Strategy
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    from pathlib import Path

ENDS = {
    "t00000": Outcome.COMPLETED,
    "t00001": Outcome.FAILED,
    "t00002": Outcome.OOM,
    "t00003": Outcome.FAILED,
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "mine.py").write_text("version = 1\n")
    job = Job(name="a", data="digits", storage={"path": str(tmp_path)})
    folder = RunFolder(job.run_root)
    folder.claim(job).release()
    with RunWriter(folder.root, run_schemas({"width": "int"})) as writer:
        for number, (name, outcome) in enumerate(ENDS.items()):
            report = EpochReport(name, 1, {"val_accuracy": 0.5}, 1.0, 1.0)
            writer.append(PROPOSALS, proposal_row(name, {"width": number}, number))
            writer.append(EPOCHS, epoch_row(report, number, "keep"))
            reason = "ValueError: odd width" if outcome is Outcome.FAILED else "no room"
            row = trial_row(name, {"width": number}, outcome, [report], TrialDetails(), reason=reason)
            writer.append(TRIALS, row)
    return folder


def test_failed_trials_are_taken_out_and_what_they_had_is_kept_aside(folder: RunFolder) -> None:
    family = str(folder.root).replace("/a", "/mine.py") + ":version"
    keep_code_and_retry(folder, family, retry_failed=True)
    proposals, epochs, trials = read_tables(folder.root)
    assert list(proposals["trial_id"]) == list(ENDS)
    assert list(epochs["trial_id"]) == list(trials["trial_id"]) == ["t00000", "t00002"]
    assert list(read_table(folder.root, "earlier_attempts")["trial_id"]) == ["t00001", "t00003"]
    assert RecordedSearch.read(folder.root).next_arrival_index == 3, "above every report that is left"
    keep_code_and_retry(folder, family, retry_failed=True)
    assert list(read_table(folder.root, "earlier_attempts")["trial_id"]) == ["t00001", "t00003"]


def test_a_changed_file_is_told_with_what_trains_failures_again(
    folder: RunFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    family = f"{tmp_path}/mine.py:version"
    with caplog.at_level(logging.WARNING, "toprung"):
        keep_code_and_retry(folder, family, retry_failed=False)
        assert caplog.text == ""
        (tmp_path / "mine.py").write_text("version = 2\n")
        keep_code_and_retry(folder, family, retry_failed=False)
    assert "mine.py has changed since trials of this run began" in caplog.text
    assert "--retry-failed trains those again that failed" in caplog.text


def test_status_and_table_name_the_commonest_reasons(
    folder: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "failed     3 of 4 trials: 2 x FAILED, ValueError: odd width; 1 x OOM, no room\n"
    for command in ("status", "table"):
        assert main([command, folder.root]) == 0
        assert told in capsys.readouterr().out
    assert main(["table", folder.root, "--format", "json"]) == 0
    assert "failed  " not in capsys.readouterr().out


def test_nothing_is_told_where_nothing_failed() -> None:
    assert failure_summary(pd.DataFrame({"outcome": ["COMPLETED", "STOPPED"], "reason": ["", ""]})) is None


def test_a_retraining_waits_for_the_search_unless_told_otherwise(
    folder: RunFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    retrained: list[Any] = []
    monkeypatch.setattr(
        "toprung.search.winner.retrain.retrain_winner", lambda *given: retrained.append(given)
    )
    monkeypatch.setattr("toprung.search.commands.models.retrained_output.show_retrained", lambda _: None)
    with RunWriter(folder.root, run_schemas({"width": "int"})):
        assert main(["retrain", folder.root]) == 2
        assert "is still being searched; wait for its end, or add --now" in capsys.readouterr().err
        assert main(["retrain", folder.root, "--now"]) == 0
    assert main(["retrain", folder.root]) == 0
    assert len(retrained) == 2


def test_a_space_that_is_smaller_than_the_trials_says_that_it_is_used_up() -> None:
    def space(trial: Any) -> dict[str, Any]:
        return {"width": trial.suggest_int("width", 1, 3)}

    strategy = Strategy.for_space(space, 1, 0, max_trials=9)
    proposed = [strategy.ask() for _ in range(4)]
    assert [one is None for one in proposed] == [False, False, False, True]
    assert strategy.is_space_used_up
