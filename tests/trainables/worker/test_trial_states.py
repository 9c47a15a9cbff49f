"""A trial's states on storage: the best beside the newest, whatever was damaged or could not be written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.trial_runner import Rules, TrialRun


class Falling:
    """A trainer that is best at one epoch."""

    parameter_count = 1
    computation = ExecutionPlan()
    computed = ExecutionRecord("cpu", "float32", xla=False, micro_batch_size=32)

    def reset(self, config: Any, seed: int) -> None:
        self.peak, self.trained = config["peak"], 0

    def take_costs(self) -> ResourceUsage:
        return ResourceUsage()

    def train_epoch(self, epoch: int) -> dict[str, float]:
        self.trained = epoch
        return {"val_accuracy": 1.0 / (1 + abs(epoch - self.peak))}

    def latency_ms(self) -> float:
        return 2.0

    def state(self) -> dict[str, np.ndarray]:
        return {"trained": np.array(self.trained)}

    def load_state(self, state: Any) -> None:
        self.trained = int(state["trained"])


@pytest.fixture
def run_at(run_from: Callable, source_type: type) -> Callable[..., TrialRun]:
    """A run at a folder, with the trainer that falls unless another is given."""
    return lambda root, trainer=None, **rules: run_from(root, source_type(trainer or Falling()), **rules)


def start(peak: int = 1) -> TrialStart:
    return TrialStart("t00000", 0, seed=0, config={"peak": peak})


def epochs(run: TrialRun, count: int) -> list[int]:
    reports = [run.step().report for _ in range(count)]
    return [report.epoch for report in reports if report]


@pytest.mark.parametrize(
    ("peak", "mode", "best"), [(3, "max", 3), (9, "max", 9), (1, "max", 1), (3, "min", 9)]
)
def test_the_best_saved_epoch_can_be_loaded_beside_the_newest(
    tmp_path: Path, peak: int, mode: str, best: int, run_at: Callable
) -> None:
    run = run_at(tmp_path, mode=mode)
    run.begin(start(peak))
    epochs(run, 5)
    run.end()
    second = run_at(tmp_path, mode=mode)
    second.begin(start(peak))
    epochs(second, 7)
    second.end()
    store = CheckpointStore(str(tmp_path))
    newest, found = store.load("t00000", second.identity), store.load_best("t00000", second.identity)
    assert newest is not None and newest.epoch == 9
    assert found is not None and found.epoch == best


def test_an_epoch_that_was_not_saved_does_not_hide_the_best_saved_one(
    tmp_path: Path, run_at: Callable
) -> None:
    rules = {"checkpoint_epochs": frozenset({6, 8, 9})}

    def best_of(root: Path, broken_after: int | None) -> int:
        run = run_at(root, Peaks(), **rules)
        run.begin(start())
        if broken_after:
            epochs(run, broken_after)
            run.end()
            run = run_at(root, Peaks(), **rules)
            run.begin(start())
        while run.step().report.epoch < 9:
            pass
        run.end()
        found = CheckpointStore(str(root)).load_best("t00000", run.identity)
        assert found is not None
        return found.epoch

    assert best_of(tmp_path / "unbroken", None) == 8
    for epoch in (6, 7, 8):
        assert best_of(tmp_path / str(epoch), epoch) == 8


class Peaks(Falling):
    """Is best at epoch 4, which is never saved, and of the others at 8."""

    def train_epoch(self, epoch: int) -> dict[str, float]:
        return {"val_accuracy": {4: 0.9, 6: 0.5, 8: 0.7}.get(epoch, 0.2)}


@pytest.mark.parametrize("history", [(), ({"epoch": 1},), ({"trial_id": "t00000", "epoch": 1, "loss": 2.0},)])
def test_a_checkpoint_that_does_not_say_its_epochs_is_no_state(
    tmp_path: Path, run_at: Callable, history: tuple[dict[str, object], ...]
) -> None:
    run = run_at(tmp_path)
    run.begin(start())
    epochs(run, 1)
    run.end()
    store = CheckpointStore(str(tmp_path))
    saved = store.load("t00000", run.identity)
    assert saved is not None
    store.save(replace(saved, history=history))
    store.wait()
    second = run_at(tmp_path)
    second.begin(start())
    assert epochs(second, 2) == [1, 2]


class Refusing(CheckpointStore):
    """A storage that refuses some of the states, the first being number 1."""

    def __init__(self, root: Path, *refused: int) -> None:
        super().__init__(str(root))
        self.refused, self.asked = refused, 0

    def _write(self, *state: Any) -> None:
        self.asked += 1
        if self.asked in self.refused:
            raise OSError("AWS Error SLOW_DOWN during PutObject")
        super()._write(*state)


def test_a_write_that_failed_does_not_fail_its_trial(
    tmp_path: Path, source_type: type, caplog: pytest.LogCaptureFixture
) -> None:
    run = TrialRun(source_type(Falling()), Refusing(tmp_path, 2), Rules(max_epochs=4, checkpoint_secs=0.0))
    run.begin(start())
    assert epochs(run, 4) == [1, 2, 3, 4]
    run.end()
    assert caplog.text.count("the last state of t00000 was not saved (") == 1
    saved = CheckpointStore(str(tmp_path)).load("t00000", run.identity)
    assert saved is not None and saved.epoch == 4


def test_a_rung_that_must_be_durable_is_not_told_when_its_write_failed(
    tmp_path: Path, source_type: type
) -> None:
    rules = Rules(max_epochs=4, checkpoint_epochs=frozenset({2}), durable_rungs=True)
    run = TrialRun(source_type(Falling()), Refusing(tmp_path, 1), rules)
    run.begin(start())
    run.step()
    result = run.step()
    assert result.failure is Outcome.FAILED and "SLOW_DOWN" in result.error


@pytest.mark.parametrize(("peak", "refused", "best"), [(2, 2, 3), (3, 4, 3), (1, 2, 1)])
def test_the_best_state_is_the_best_of_those_that_were_written(
    tmp_path: Path, source_type: type, peak: int, refused: int, best: int
) -> None:
    rules = Rules(max_epochs=5, checkpoint_secs=0.0)
    run = TrialRun(source_type(Falling()), Refusing(tmp_path, refused), rules)
    run.begin(start(peak))
    epochs(run, 5)
    run.end()
    found = CheckpointStore(str(tmp_path)).load_best("t00000", run.identity)
    assert found is not None and found.epoch == best


@pytest.mark.parametrize("last", [3, 5])
def test_a_damaged_newest_state_does_not_take_the_place_of_the_best(
    tmp_path: Path, run_at: Callable, last: int
) -> None:
    first = run_at(tmp_path, checkpoint_secs=0.0)
    first.begin(start(2))
    epochs(first, 3)
    first.end()
    (tmp_path / "t00000.npz").write_bytes(b"PK half")
    second = run_at(tmp_path, checkpoint_secs=0.0)
    second.begin(start(2))
    assert epochs(second, last - 1) == list(range(2, last + 1))
    second.end()
    store = CheckpointStore(str(tmp_path))
    newest, best = (load("t00000", second.identity) for load in (store.load, store.load_best))
    assert newest is not None and newest.epoch == last
    assert best is not None and best.epoch == 2


class Slow(CheckpointStore):
    """A storage that takes its time with the first state."""

    def __init__(self, root: Path) -> None:
        super().__init__(str(root))
        self.may_go_on, self.written = threading.Event(), 0

    def _write(self, *state: Any) -> None:
        if not self.written:
            assert self.may_go_on.wait(30)
        super()._write(*state)
        self.written += 1


def test_the_next_trial_trains_while_the_last_ones_state_is_written_and_is_told_when_it_is_there(
    tmp_path: Path, source_type: type
) -> None:
    trainer, store = Falling(), Slow(tmp_path)
    run = TrialRun(source_type(trainer), store, Rules(max_epochs=2, checkpoint_epochs=frozenset({1})))
    run.begin(start())
    run.step()
    run.begin(replace(start(), trial_id="t00001"))  # would wait for ever if it waited
    assert store.written == 0

    class Failing(Falling):
        def train_epoch(self, epoch: int) -> dict[str, float]:
            store.may_go_on.set()
            raise RuntimeError("and saves nothing that the first state would have to wait for")

    trainer.__class__ = Failing
    assert run.step().failure is Outcome.FAILED
    assert [path.name for path in tmp_path.iterdir()] == ["t00000.npz"], "there before this trial is told of"


def test_a_failed_write_of_the_last_trial_takes_nothing_from_the_next_ones_best(
    tmp_path: Path, source_type: type
) -> None:
    run = TrialRun(source_type(Falling()), Refusing(tmp_path, 3), Rules(max_epochs=3, checkpoint_secs=0.0))
    run.begin(start(peak=2))
    epochs(run, 3)
    run.begin(replace(start(peak=0), trial_id="t00001"))
    epochs(run, 3)
    run.end()
    store = CheckpointStore(str(tmp_path))
    kept = store.load_best("t00001", run.identity)
    assert kept is not None and kept.epoch == 1
