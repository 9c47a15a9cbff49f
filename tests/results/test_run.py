"""A run opened from Python: it is read anew at each access, and the search provides what reading cannot do."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toprung.results import Run, load
from toprung.results.run_actions import GROUP, RunActions, run_actions
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.run_lock import RunLock
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import EpochReport, Outcome

KINDS: Mapping[str, Any] = {"learning_rate": "float"}


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A run without any trial."""
    search = {"objectives": ["val_accuracy", "val_loss"]}
    job = Job(name="a", data="digits", storage={"path": str(tmp_path)}, search=search)
    RunFolder(job.run_root).claim(job).release()
    return job.run_root


def write_trial(root: str, number: int, accuracy: float, outcome: Outcome | None = Outcome.COMPLETED) -> None:
    """One more trial of two epochs, the second one worse; None leaves it running."""
    trial_id, config = f"t{number:05d}", {"learning_rate": number / 10}
    values = ((1, accuracy), (2, accuracy / 2))
    reports = [
        EpochReport(trial_id, epoch, {"val_accuracy": value, "val_loss": 1 - value})
        for epoch, value in values
    ]
    with RunWriter(root, run_schemas(KINDS, Objectives.named(["val_accuracy", "val_loss"]))) as writer:
        writer.append(PROPOSALS, proposal_row(trial_id, config, number))
        for report in reports:
            writer.append(EPOCHS, epoch_row(report, 2 * number + report.epoch, "KEEP"))
        if outcome:
            facts = TrialDetails(data_fingerprint="a" * 20)
            writer.append(TRIALS, trial_row(trial_id, config, outcome, reports, facts))


def test_a_run_is_seen_growing(root: str) -> None:
    run = load(root)
    assert [len(frame) for frame in (run.proposals, run.epochs, run.trials)] == [0, 0, 0]
    assert run.best is None and run.leaderboard().empty
    write_trial(root, 0, 0.5)
    write_trial(root, 1, 0.9, outcome=Outcome.DIVERGED)
    write_trial(root, 2, 0.8, outcome=None)
    assert [len(frame) for frame in (run.proposals, run.epochs, run.trials)] == [3, 6, 2]
    board = run.leaderboard()
    assert board["trial_id"].tolist() == ["t00002", "t00000", "t00001"]
    assert board["outcome"].tolist() == ["INTERRUPTED", "COMPLETED", "DIVERGED"], "nobody trains the first"
    with RunLock(root):
        assert run.leaderboard()["outcome"].tolist() == ["RUNNING", "COMPLETED", "DIVERGED"]
    assert board["pareto"].tolist() == [True, False, False]
    assert run.leaderboard(1)["trial_id"].tolist() == ["t00002"]


def test_the_best_trial_has_its_value_its_epoch_and_its_configuration(root: str) -> None:
    write_trial(root, 0, 0.5)
    write_trial(root, 3, 0.9, outcome=Outcome.DIVERGED)
    best = load(root).best
    assert best is not None
    assert (best.trial_id, best.metric, best.value, best.epoch) == ("t00000", "val_accuracy", 0.5, 1)
    assert best.config == {"learning_rate": 0.0}


def test_the_job_is_a_job_that_can_be_changed_and_run_again(root: str) -> None:
    job = load(root).job
    assert isinstance(job, Job)
    assert job.overridden(["search.trials=3"]).search.trials == 3


@pytest.mark.parametrize("name", ["a", "a/"])
def test_a_run_is_found_by_its_path_whatever_folder_is_worked_in_later(
    root: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = load(name)
    assert run == load(Path(root)) == load(Path("a"))
    monkeypatch.chdir("/")
    assert run.trials.empty


def test_where_there_is_no_run_one_line_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError) as caught:
            load(path)
        (problem,) = caught.value.problems
        assert str(path) in str(problem) and "\n" not in str(problem)


def test_a_model_that_was_never_trained_is_one_line_too(root: str) -> None:
    with pytest.raises(InputError, match=f"RUN: {root} holds no model; must be a run that was retrained"):
        load(root).model()
    with pytest.raises(InputError, match=r"no trial has a finite val_accuracy"):
        load(root).retrain()


def test_a_retraining_returns_its_report(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []

    def retrain_winner(folder: RunFolder, *arguments: object) -> Any:
        calls.append((folder.root, *arguments))
        return SimpleNamespace(report={"test_accuracy": 0.5})

    monkeypatch.setattr("toprung.search.winner.retrain.retrain_winner", retrain_winner)
    report = load(root).retrain(["retrain.epochs=3"], trial_id="t00001", address="auto", promote=True)
    assert report == {"test_accuracy": 0.5}
    assert calls == [(root, ["retrain.epochs=3"], "t00001", "auto", True)]


def test_a_run_is_read_in_another_thread_and_where_an_event_loop_runs(root: str) -> None:
    write_trial(root, 0, 0.5)

    async def read() -> Run:
        return load(root)

    found: list[Run] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(read())))
    thread.start()
    thread.join()
    assert found[0].best == asyncio.run(read()).best


def test_the_search_provides_every_action() -> None:
    provided = run_actions()
    for name in ("job", "retrain", "model"):
        expected = inspect.signature(getattr(RunActions, name)).parameters
        assert list(inspect.signature(getattr(provided, name)).parameters) == list(expected)[1:]


def test_an_installation_without_the_actions_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toprung.results.run_actions.entry_points", lambda group: [])
    with pytest.raises(RuntimeError, match=f"no package provides {GROUP}; install toprung again"):
        run_actions()
