"""A trial trains epoch by epoch, goes on from its checkpoint wherever it begins, and tells of its failures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
from toprung.trainables.trial.messages import EpochResult, TrialStart
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.trial_runner import Rules, TrialRun


class Counting:
    """A trainer whose value is the sum of what it trained; fails where its configuration says so."""

    parameter_count = 1

    def __init__(self) -> None:
        self.computation = ExecutionPlan()

    @property
    def computed(self) -> ExecutionRecord:
        return ExecutionRecord("cpu", "float32", xla=False, micro_batch_size=32 // self.computation.parts)

    def reset(self, config: Any, seed: int) -> None:
        self.config, self.total, self.trained = dict(config), float(seed), []

    def take_costs(self) -> ResourceUsage:
        return ResourceUsage(input_wait_secs=0.5)

    def train_epoch(self, epoch: int) -> dict[str, float]:
        if epoch == self.config.get("raises_at"):
            raise self.config["error"]
        self.trained.append(epoch)
        self.total += self.config["gain"] * epoch
        value = math.nan if epoch == self.config.get("nan_at") else self.total
        return {"val_accuracy": value}

    def latency_ms(self) -> float:
        self.timed = getattr(self, "timed", 0) + 1
        return 2.0 * self.timed

    def state(self) -> dict[str, np.ndarray]:
        return {"total": np.array(self.total)}

    def load_state(self, state: Any) -> None:
        self.total = float(state["total"])


@pytest.fixture
def run_at(run_from: Callable, source_type: type) -> Callable[..., TrialRun]:
    """A run at a folder, with a trainer that counts unless another is given."""
    return lambda root, trainer=None, **rules: run_from(root, source_type(trainer or Counting()), **rules)


def start(number: int = 0, **config: Any) -> TrialStart:
    return TrialStart(f"t{number:05d}", number, seed=number, config={"gain": 1.0, **config})


def epochs(run: TrialRun, count: int) -> list[tuple[int, float]]:
    reports = [run.step().report for _ in range(count)]
    return [(report.epoch, report.metrics["val_accuracy"]) for report in reports if report]


def test_epochs_count_from_one_and_seconds_add_up(tmp_path: Path, run_at: Callable) -> None:
    run = run_at(tmp_path)
    run.begin(start())
    reports = [run.step().report for _ in range(3)]
    assert [report.epoch for report in reports if report] == [1, 2, 3]
    assert reports[2].elapsed_secs == pytest.approx(sum(report.epoch_secs for report in reports))


@pytest.mark.parametrize("epochs_before_the_kill", range(1, 10))
def test_a_new_process_repeats_the_checkpoint_and_goes_on_alike(
    tmp_path: Path, epochs_before_the_kill: int, run_at: Callable
) -> None:
    unbroken = run_at(tmp_path / "unbroken")
    unbroken.begin(start())
    expected = epochs(unbroken, 9)
    first = run_at(tmp_path / "broken")
    first.begin(start())
    epochs(first, epochs_before_the_kill)
    first.end()
    trainer = Counting()
    second = run_at(tmp_path / "broken", trainer)
    second.begin(start())
    saved = max(rung for rung in (1, 3, 9) if rung <= epochs_before_the_kill)
    result = second.step()
    assert [report.epoch for report in (*result.history, result.report)] == list(range(1, saved + 1))
    assert trainer.trained == [], "the newest report is repeated before another epoch is trained"
    assert epochs(second, 9 - saved) == expected[saved:]


def test_a_trial_does_not_take_the_state_of_another_configuration(tmp_path: Path, run_at: Callable) -> None:
    first = run_at(tmp_path)
    first.begin(start(gain=2.0))
    epochs(first, 3)
    first.end()
    second = run_at(tmp_path)
    second.begin(start(gain=1.0))
    assert epochs(second, 1) == [(1, 1.0)]


@pytest.mark.parametrize(
    ("error", "outcome"), [(ValueError("bad layer"), Outcome.FAILED), (MemoryError("no room"), Outcome.OOM)]
)
def test_an_error_ends_the_trial_and_not_the_worker(
    tmp_path: Path, error: Exception, outcome: Outcome, run_at: Callable
) -> None:
    run = run_at(tmp_path)
    run.begin(start(raises_at=2, error=error))
    assert epochs(run, 1) == [(1, 1.0)]
    while (result := run.step()).failure is None:
        assert result.report and result.report.epoch == 1, (
            "tried again for want of memory, from its checkpoint"
        )
    assert (result.report, result.failure) == (None, outcome)
    assert str(error) in result.error
    run.begin(start(1))
    assert epochs(run, 1) == [(1, 2.0)]


def test_an_error_while_building_is_told_by_the_first_step(tmp_path: Path, source_type: type) -> None:
    class NoModel(source_type):
        def trainer(self, config: Any, computation: Any, least_parts: int) -> Any:
            raise ValueError("filters must be positive")

    run = TrialRun(NoModel(None), CheckpointStore(str(tmp_path)), Rules(max_epochs=3))
    run.begin(start())
    assert "filters must be positive" in run.step().error


def test_a_state_after_a_nan_is_not_saved(tmp_path: Path, run_at: Callable) -> None:
    run = run_at(tmp_path)
    run.begin(start(nan_at=3))
    epochs(run, 3)
    run.end()
    second = run_at(tmp_path)
    second.begin(start(nan_at=3))
    report = second.step().report
    assert report is not None and report.epoch == 1


def test_states_are_saved_between_rungs_after_the_given_seconds(tmp_path: Path, run_at: Callable) -> None:
    run = run_at(tmp_path, checkpoint_epochs=frozenset(), checkpoint_secs=0.0)
    run.begin(start())
    epochs(run, 2)
    run.end()
    saved = CheckpointStore(str(tmp_path)).load("t00000", run.identity)
    assert saved is not None and saved.epoch == 2


def told_epochs(result: EpochResult) -> list[int]:
    return [report.epoch for report in (*result.history, *([result.report] if result.report else []))]


def test_measures_of_the_model_are_taken_once_a_trial_and_stand_in_every_epoch(
    tmp_path: Path, run_at: Callable
) -> None:
    trainer = Counting()
    run = run_at(
        tmp_path,
        trainer,
        secondary_objectives=("latency_ms", "val_loss", "parameter_count"),
        checkpoint_secs=0.0,
    )
    run.begin(start(gain=1.0))
    first, second = run.step().report, run.step().report
    assert first is not None and second is not None
    for report in (first, second):
        assert report.metrics["latency_ms"] == 2.0
        assert report.metrics["parameter_count"] == 1.0
    run.end()
    again = run_at(
        tmp_path, trainer, secondary_objectives=("latency_ms", "parameter_count"), checkpoint_secs=0.0
    )
    again.begin(start(gain=1.0))
    again.step()
    assert again.step().report.metrics["latency_ms"] == 2.0
    assert trainer.timed == 1


def test_short_epochs_are_told_together_and_never_past_a_rung(tmp_path: Path, run_at: Callable) -> None:
    run = run_at(tmp_path, report_secs=1e9)
    run.begin(start())
    assert [told_epochs(run.step()) for _ in range(3)] == [[1], [2, 3], [4, 5, 6, 7, 8, 9]]


def test_epochs_told_together_end_at_a_value_that_is_not_finite(tmp_path: Path, run_at: Callable) -> None:
    run = run_at(tmp_path, report_secs=1e9, checkpoint_epochs=frozenset())
    run.begin(start(nan_at=4))
    assert told_epochs(run.step()) == [1, 2, 3, 4]


def test_epochs_measured_before_an_error_are_told_with_it(tmp_path: Path, run_at: Callable) -> None:
    run = run_at(tmp_path, report_secs=1e9, checkpoint_epochs=frozenset())
    run.begin(start(raises_at=4, error=ValueError("bad layer")))
    result = run.step()
    assert (told_epochs(result), result.failure) == ([1, 2, 3], Outcome.FAILED)


def test_a_trial_goes_on_with_the_precision_it_began_with(tmp_path: Path, source_type: type) -> None:
    class Mixed(source_type):
        own = ExecutionPlan("mixed_bfloat16", xla=True, steps_per_call=64)

    rules = Rules(max_epochs=9, checkpoint_epochs=frozenset({1}), data_fingerprint="f")
    run = TrialRun(Mixed(Counting()), CheckpointStore(str(tmp_path)), rules)
    run.begin(start())
    epochs(run, 1)
    run.end()
    worker_that_would_choose_otherwise = source_type(Counting())
    later = TrialRun(worker_that_would_choose_otherwise, CheckpointStore(str(tmp_path)), rules)
    later.begin(start())
    assert worker_that_would_choose_otherwise.asked_for == [(Mixed.own, 1)]
    later.begin(start(1))
    assert worker_that_would_choose_otherwise.asked_for[1:] == [(None, 1)], (
        "a new trial computes as is chosen now"
    )


def test_a_checkpoint_that_does_not_say_how_it_was_computed_is_gone_on_with(
    tmp_path: Path, run_at: Callable
) -> None:
    run = run_at(tmp_path)
    run.begin(start())
    epochs(run, 1)
    run.end()
    store = CheckpointStore(str(tmp_path))
    saved = store.load("t00000", run.identity)
    assert saved is not None
    store.save(replace(saved, arrays={"total": saved.arrays["total"]}))
    store.wait()
    second = run_at(tmp_path)
    second.begin(start())
    assert epochs(second, 2) == [(1, 1.0), (2, 3.0)]


def test_costs_are_told_once(tmp_path: Path, run_at: Callable) -> None:
    run = run_at(tmp_path)
    run.begin(start())
    first, second = run.step().costs, run.step().costs
    assert (first.input_wait_secs, second.input_wait_secs) == (1.5, 1.0), (
        "a take at the start, two in each step"
    )
    assert first.rss_bytes > 0
    assert second.trial_setup_secs == 0 and second.idle_secs > 0


def test_a_state_that_is_not_saved_is_told_and_does_not_fail_the_next_trial(
    tmp_path: Path, run_at: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "t00000.npz.partial").mkdir()
    run = run_at(tmp_path)
    run.begin(start())
    epochs(run, 1)
    run.begin(start(1))
    assert epochs(run, 1) == [(1, 2.0)]
    assert "the last state of t00000 was not saved (" in caplog.text
