"""A trial trains epoch by epoch, resumes from its checkpoint wherever it begins, and reports its failures."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toprung.trainables.trial.bounds import Bound, Bounds
from toprung.trainables.trial.epoch_limit import EpochLimit
from toprung.trainables.trial.execution import ExecutionPlan
from toprung.trainables.trial.messages import EpochResult
from toprung.trainables.trial.objectives import Objectives
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage
from toprung.trainables.worker.checkpoints import CheckpointStore


def test_epochs_count_from_one_and_seconds_add_up(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path)
    run.begin(new_start())
    reports = [run.step().report for _ in range(3)]
    assert [report.epoch for report in reports if report] == [1, 2, 3]
    assert reports[2].elapsed_secs == pytest.approx(sum(report.epoch_secs for report in reports))


@pytest.mark.parametrize("epochs_before_the_kill", range(1, 10))
def test_a_new_process_repeats_the_checkpoint_and_trains_on_alike(
    tmp_path: Path,
    epochs_before_the_kill: int,
    new_run: Callable,
    new_start: Callable,
    step_values: Callable,
    trainer_type: type,
) -> None:
    unbroken = new_run(tmp_path / "unbroken")
    unbroken.begin(new_start())
    expected = step_values(unbroken, 9)
    first = new_run(tmp_path / "broken")
    first.begin(new_start())
    step_values(first, epochs_before_the_kill)
    first.end()
    trainer = trainer_type()
    second = new_run(tmp_path / "broken", trainer)
    second.begin(new_start())
    saved = max(rung for rung in (1, 3, 9) if rung <= epochs_before_the_kill)
    result = second.step()
    assert [report.epoch for report in (*result.history, result.report)] == list(range(1, saved + 1))
    assert trainer.trained == [], "the newest report is repeated before another epoch is trained"
    assert step_values(second, 9 - saved) == expected[saved:]


def test_a_trial_does_not_resume_from_the_state_of_another_configuration(
    tmp_path: Path, new_run: Callable, new_start: Callable, step_values: Callable
) -> None:
    first = new_run(tmp_path)
    first.begin(new_start(gain=2.0))
    step_values(first, 3)
    first.end()
    second = new_run(tmp_path)
    second.begin(new_start(gain=1.0))
    assert step_values(second, 1) == [(1, 1.0)]


@pytest.mark.parametrize(
    ("error", "outcome"), [(ValueError("bad layer"), Outcome.FAILED), (MemoryError("no room"), Outcome.OOM)]
)
def test_an_error_ends_the_trial_and_not_the_worker(
    tmp_path: Path,
    error: Exception,
    outcome: Outcome,
    new_run: Callable,
    new_start: Callable,
    step_values: Callable,
) -> None:
    run = new_run(tmp_path)
    run.begin(new_start(raises_at=2, error=error))
    assert step_values(run, 1) == [(1, 1.0)]
    while (result := run.step()).failure is None:
        assert result.report, "tried again for want of memory, from its checkpoint"
        assert result.report.epoch == 1
    assert (result.report, result.failure) == (None, outcome)
    assert str(error) in result.error
    run.begin(new_start(1))
    assert step_values(run, 1) == [(1, 2.0)]


def test_an_error_while_building_is_reported_by_the_first_step(
    tmp_path: Path, source_type: type, new_run: Callable, new_start: Callable
) -> None:
    class NoModel(source_type):
        def trainer(self, *_: Any) -> Any:
            raise ValueError("filters must be positive")

    run = new_run(tmp_path, source=NoModel(None))
    run.begin(new_start())
    assert "filters must be positive" in run.step().error


def test_a_state_after_a_nan_is_not_saved(
    tmp_path: Path, new_run: Callable, new_start: Callable, step_values: Callable
) -> None:
    run = new_run(tmp_path)
    run.begin(new_start(nan_at=3))
    step_values(run, 3)
    run.end()
    second = new_run(tmp_path)
    second.begin(new_start(nan_at=3))
    report = second.step().report
    assert report is not None and report.epoch == 1


def test_states_are_saved_between_rungs_after_the_given_seconds(
    tmp_path: Path, new_run: Callable, new_start: Callable, step_values: Callable
) -> None:
    run = new_run(tmp_path, checkpoint_epochs=frozenset(), checkpoint_secs=0.0)
    run.begin(new_start())
    step_values(run, 2)
    run.end()
    saved = CheckpointStore(str(tmp_path)).load("t00000", run.identity)
    assert saved is not None and saved.epoch == 2


def reported_epochs(result: EpochResult) -> list[int]:
    return [report.epoch for report in (*result.history, *([result.report] if result.report else []))]


def test_measures_of_the_model_are_taken_once_a_trial_and_repeated_in_every_epoch(
    tmp_path: Path, new_run: Callable, new_start: Callable, trainer_type: type
) -> None:
    trainer = trainer_type()
    names = ("val_accuracy", "latency_ms", "val_loss", "parameter_count")
    rules = {"objectives": Objectives.named(names), "checkpoint_secs": 0.0}
    run = new_run(tmp_path, trainer, **rules)
    run.begin(new_start())
    first, second = run.step().report, run.step().report
    assert first is not None and second is not None
    for report in (first, second):
        assert report.metrics["latency_ms"] == 2.0
        assert report.metrics["parameter_count"] == 1.0
    run.end()
    again = new_run(tmp_path, trainer, **rules)
    again.begin(new_start())
    again.step()
    assert again.step().report.metrics["latency_ms"] == 2.0
    assert trainer.timed == 1


def test_a_model_that_breaks_a_bound_is_not_trained_and_the_worker_goes_on(
    tmp_path: Path, new_run: Callable, new_start: Callable, trainer_type: type
) -> None:
    trainer = trainer_type()
    bounds = Bounds((Bound("latency_ms", greatest=3.0), Bound("parameter_count", greatest=1.0)))
    run = new_run(tmp_path, trainer, objectives=Objectives.named(["val_accuracy"], bounds))
    run.begin(new_start())
    first = run.step()
    assert first.failure is None and first.model_measures == {"latency_ms": 2.0, "parameter_count": 1.0}
    assert first.report.metrics["latency_ms"] == 2.0
    run.begin(new_start(number=1))  # the second time that this trainer is timed it takes 4 ms
    second = run.step()
    assert (second.report, second.failure, second.error) == (None, Outcome.STOPPED, "")
    assert second.reason == "not trained: latency_ms 4 (33.3% beyond 3)"
    assert second.model_measures == {"latency_ms": 4.0, "parameter_count": 1.0}
    assert trainer.trained == []
    trainer.timed = 0
    run.begin(new_start(number=2))
    assert run.step().report.epoch == 1


def test_a_trial_that_resumes_keeps_its_latency_and_a_rerun_is_trained_beyond_the_bounds(
    tmp_path: Path, new_run: Callable, new_start: Callable, trainer_type: type
) -> None:
    objectives = Objectives.named(["val_accuracy"], Bounds((Bound("latency_ms", greatest=3.0),)))
    rules = {"objectives": objectives, "checkpoint_secs": 0.0}
    run = new_run(tmp_path, trainer_type(), **rules)
    run.begin(new_start())
    run.step()
    run.end()
    slow = trainer_type()
    slow.timed = 5
    again = new_run(tmp_path, slow, **rules)
    again.begin(new_start())
    again.step()
    assert again.step().report.metrics["latency_ms"] == 2.0
    rerun = new_run(tmp_path / "rerun", slow, enforces_bounds=False, **rules)
    rerun.begin(new_start())
    assert rerun.step().report.metrics["latency_ms"] == 12.0


def test_a_trial_that_is_too_slow_for_the_budget_is_not_trained_and_the_worker_goes_on(
    tmp_path: Path, new_run: Callable, new_start: Callable, trainer_type: type
) -> None:
    trainer = trainer_type()
    run = new_run(tmp_path, trainer)
    limit = EpochLimit(usual_secs=2.0, timed_trials=3, secs_left=80.0)
    run.begin(replace(new_start(secs=10.0), epoch_limit=limit))
    result = run.step()
    assert (result.report, result.failure, result.error) == (None, Outcome.STOPPED, "")
    assert result.reason == (
        "not trained: an epoch takes 10 s, 5.0 times the median; its 9 epochs cannot end in the 80 s that are left"
    )
    assert trainer.trained == []
    run.begin(replace(new_start(number=1, secs=8.0), epoch_limit=limit))
    assert run.step().report.epoch == 1, "72 s end in time"
    run.begin(new_start(number=2, secs=1e9))
    assert run.step().report.epoch == 1, "nothing limits it"
    assert trainer.epochs_timed == 2


def test_a_trial_that_resumes_is_not_held_against_a_limit(
    tmp_path: Path, new_run: Callable, new_start: Callable, trainer_type: type
) -> None:
    run = new_run(tmp_path)
    run.begin(new_start())
    run.step()
    run.end()
    trainer = trainer_type()
    again = new_run(tmp_path, trainer)
    again.begin(replace(new_start(), epoch_limit=EpochLimit(1.0, 3, 1.0)))
    assert [again.step().report.epoch for _ in range(2)] == [1, 2]
    assert trainer.epochs_timed == 0


def test_short_epochs_are_reported_together_and_never_past_a_rung(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path, report_secs=1e9)
    run.begin(new_start())
    assert [reported_epochs(run.step()) for _ in range(3)] == [[1], [2, 3], [4, 5, 6, 7, 8, 9]]


def test_epochs_reported_together_end_at_a_value_that_is_not_finite(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path, report_secs=1e9, checkpoint_epochs=frozenset())
    run.begin(new_start(nan_at=4))
    assert reported_epochs(run.step()) == [1, 2, 3, 4]


def test_epochs_measured_before_an_error_are_reported_with_it(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path, report_secs=1e9, checkpoint_epochs=frozenset())
    run.begin(new_start(raises_at=4, error=ValueError("bad layer")))
    result = run.step()
    assert (reported_epochs(result), result.failure) == ([1, 2, 3], Outcome.FAILED)


def test_a_trial_keeps_the_execution_plan_it_began_with(
    tmp_path: Path,
    source_type: type,
    trainer_type: type,
    new_run: Callable,
    new_start: Callable,
    step_values: Callable,
) -> None:
    mixed = ExecutionPlan("mixed_bfloat16", xla=True, steps_per_call=64)
    run = new_run(tmp_path, source=source_type(trainer_type(), own_plan=mixed))
    run.begin(new_start())
    step_values(run, 1)
    run.end()
    source_with_another_plan = source_type(trainer_type())
    later = new_run(tmp_path, source=source_with_another_plan)
    later.begin(new_start())
    assert source_with_another_plan.requests == [(mixed, 1)]
    later.begin(new_start(1))
    assert source_with_another_plan.requests[1:] == [(None, 1)], "a new trial has no plan yet"


def test_a_checkpoint_without_an_execution_plan_is_resumed(
    tmp_path: Path, new_run: Callable, new_start: Callable, step_values: Callable
) -> None:
    run = new_run(tmp_path)
    run.begin(new_start())
    step_values(run, 1)
    run.end()
    store = CheckpointStore(str(tmp_path))
    saved = store.load("t00000", run.identity)
    assert saved is not None
    store.save(replace(saved, arrays={"total": saved.arrays["total"]}))
    store.wait()
    second = new_run(tmp_path)
    second.begin(new_start())
    assert step_values(second, 2) == [(1, 1.0), (2, 3.0)]


def test_resource_usage_is_reported_once(tmp_path: Path, new_run: Callable, new_start: Callable) -> None:
    run = new_run(tmp_path)
    run.begin(new_start())
    first, second = run.step().resource_usage, run.step().resource_usage
    waits = first.input_wait_secs, second.input_wait_secs
    assert waits == (1.5, 1.0), "the trainer is read at the start, and twice in each step"
    assert first.rss_bytes > 0
    assert second.trial_setup_secs == 0 and second.idle_secs > 0


def test_what_a_phase_compiles_is_no_part_of_its_epoch(
    tmp_path: Path, new_run: Callable, new_start: Callable, trainer_type: type
) -> None:
    def compile_for_the_whole_epoch(epoch: int) -> None:
        began = time.perf_counter()
        time.sleep(0.2)
        trainer.usage = ResourceUsage(compile_secs=time.perf_counter() - began)

    trainer = trainer_type(compile_for_the_whole_epoch)
    run = new_run(tmp_path, trainer)
    run.begin(new_start())
    result = run.step()
    assert 0.0 <= result.report.epoch_secs == result.report.elapsed_secs < 0.2
    assert result.resource_usage.compile_secs >= 0.2


def test_a_state_that_is_not_saved_is_reported_and_does_not_fail_the_next_trial(
    tmp_path: Path,
    new_run: Callable,
    new_start: Callable,
    step_values: Callable,
) -> None:
    (tmp_path / "t00000.npz.partial").mkdir()
    run = new_run(tmp_path)
    run.begin(new_start())
    step_values(run, 1)
    run.begin(new_start(1))
    result = run.step()
    assert result.report.metrics["val_accuracy"] == 2.0
    assert result.notes[0].startswith("the last state of t00000 was not saved (")
