"""What is kept of a trial when it has ended: its row, and its state while there is room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from toprung.results.tables.parts import read_table
from toprung.results.tables.schema import TRIALS, run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.search.driver.recorder import Recorder
from toprung.search.driver.trial_state import ActiveTrial
from toprung.search.strategy.strategy import Strategy
from toprung.trainables.trial.messages import TrialStart, Worker
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.checkpoints import Checkpoint, CheckpointStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def states(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(f"{tmp_path}/checkpoints")


@pytest.fixture
def recorder(tmp_path: Path, states: CheckpointStore) -> Iterator[Callable[..., Recorder]]:
    strategy = Strategy.for_space(lambda trial: {"rate": trial.suggest_float("rate", 0, 1)}, 1, seed=0)
    with RunWriter(tmp_path, run_schemas({"rate": "float"})) as writer:

        def made(**changed: Any) -> Recorder:
            settings = {"metric": "val_accuracy", "mode": "max", "fingerprint": "", "cpus": 1.0, "gpus": 0.0}
            return Recorder(writer, strategy, states, **{**settings, **changed})

        yield made


def completes(recorder: Recorder, states: CheckpointStore, number: int, value: float, pid: int = 1) -> None:
    """A trial trains to its end, and leaves its state."""
    trial_id = f"t{number:05d}"
    saves(states, number)
    trial = ActiveTrial(TrialStart(trial_id, number, 0, {"rate": 0.5}), worker=Worker("node", pid))
    trial.reports.append(EpochReport(trial_id, 1, {"val_accuracy": value}))
    recorder.ended(trial, Outcome.COMPLETED, "", "")
    settle(states)


def saves(states: CheckpointStore, number: int) -> None:
    states.save(Checkpoint(f"t{number:05d}", 1, "", (), {"weights": np.zeros(1000)}))
    states.wait()


def is_stopped(recorder: Recorder, states: CheckpointStore, number: int, pid: int = 1) -> None:
    """A trial is cut at a rung while its worker still writes its state."""
    trial = ActiveTrial(TrialStart(f"t{number:05d}", number, 0, {"rate": 0.5}), worker=Worker("node", pid))
    recorder.ended(trial, Outcome.STOPPED, "cut", "")
    settle(states)
    saves(states, number)


def settle(states: CheckpointStore) -> None:
    """Return when what is deleted in the background is gone."""
    states._writer.submit(int).result()


def kept(tmp_path: Path) -> list[str]:
    return sorted(path.name.partition(".")[0] for path in (tmp_path / "checkpoints").iterdir())


@pytest.mark.parametrize(("mode", "leader"), [("max", "t00001"), ("min", "t00002")])
def test_the_best_completed_trial_keeps_its_state_whatever_the_quota(
    recorder, states, tmp_path: Path, mode: str, leader: str
) -> None:
    one = recorder(mode=mode, checkpoint_bytes=1)
    for number, value in enumerate([0.5, 0.9, 0.2, float("nan"), 0.7]):
        completes(one, states, number, value)
    assert kept(tmp_path) == sorted({leader, "t00004"}), "the best, and the one that has just completed"


def test_the_best_trial_of_an_earlier_driver_is_kept_too(recorder, states, tmp_path: Path) -> None:
    for number, value in enumerate([0.9, 0.5]):
        completes(recorder(), states, number, value)
    again = recorder(checkpoint_bytes=1, completed={"t00000": 0.9, "t00001": 0.5})
    completes(again, states, 2, 0.6)
    assert kept(tmp_path) == ["t00000", "t00002"]


def test_only_a_completed_trial_keeps_its_state(recorder, states, tmp_path: Path) -> None:
    one = recorder()
    completes(one, states, 0, 0.5)
    states.save(Checkpoint("t00001", 1, "", (), {}))
    one.ended(ActiveTrial(TrialStart("t00001", 1, 0, {"rate": 0.5})), Outcome.STOPPED, "cut", "")
    settle(states)
    assert kept(tmp_path) == ["t00000"]
    one._writer.flush()
    assert list(read_table(tmp_path, TRIALS)["checkpoint"].notna()) == [True, False]


@pytest.mark.parametrize("keep_stopped", [False, True])
def test_a_stopped_trial_keeps_its_state_where_the_job_asks_for_it(
    recorder, states, tmp_path: Path, keep_stopped: bool
) -> None:
    made = recorder(keep_stopped=keep_stopped)
    saves(states, 0)
    trial = ActiveTrial(TrialStart("t00000", 0, 0, {"rate": 0.5}))
    trial.reports.append(EpochReport("t00000", 1, {"val_accuracy": 0.5}))
    made.ended(trial, Outcome.STOPPED, "cut", "")
    settle(states)
    assert kept(tmp_path) == (["t00000"] if keep_stopped else [])


def test_a_state_that_came_after_its_trial_was_stopped_goes_with_its_workers_next_trial(
    recorder, states, tmp_path: Path
) -> None:
    one = recorder()
    for number in range(3):
        is_stopped(one, states, number)
    is_stopped(one, states, 3, pid=2)
    assert kept(tmp_path) == ["t00002", "t00003"], "one a worker"
    completes(one, states, 4, 0.5)
    assert kept(tmp_path) == ["t00003", "t00004"]


def test_what_stopped_trials_left_goes_before_any_completed_state(recorder, states, tmp_path: Path) -> None:
    saves(states, 9)
    size = (tmp_path / "checkpoints" / "t00009.npz").stat().st_size
    states.keep_only(frozenset())
    one = recorder(checkpoint_bytes=3 * size)
    completes(one, states, 0, 0.5, pid=1)
    completes(one, states, 1, 0.9, pid=2)
    for worker in (3, 4):
        is_stopped(one, states, worker, worker)
    completes(one, states, 5, 0.7, pid=5)
    assert kept(tmp_path) == ["t00000", "t00001", "t00005"]
