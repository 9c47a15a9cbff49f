"""A trial whose memory runs out is tried again: with more room, then with its batches in smaller micro-batches."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toprung.trainables.trial.execution import ExecutionPlan
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage

FULL = MemoryError("Unable to allocate 3.00 GiB for an array")


@pytest.mark.parametrize("full_at", [1, 2, 5])
def test_a_trial_without_memory_is_tried_again_with_more_room(
    tmp_path: Path,
    full_at: int,
    new_run: Callable,
    new_start: Callable,
    source_type: type,
    trainer_type: type,
) -> None:
    source = source_type(trainer_type())
    run = new_run(tmp_path, source=source, report_secs=1e9)
    run.begin(new_start(raises_at=full_at, error=FULL, times=1))
    curve: dict[int, float] = {}
    while 9 not in curve:
        result = run.step()
        assert result.failure is None
        for report in (*result.history, *([result.report] if result.report else [])):
            value = curve.setdefault(report.epoch, report.metrics["val_accuracy"])
            assert value == report.metrics["val_accuracy"], "what was reported before is repeated alike"
    assert source.times_made_room == 1
    assert curve == {epoch: sum(range(epoch + 1)) for epoch in range(1, 10)}, "as without the error"


@pytest.mark.parametrize(("times", "micro_batch_size"), [(1, 16), (2, 4)])
def test_each_time_that_memory_runs_out_micro_batches_get_smaller(
    tmp_path: Path,
    times: int,
    micro_batch_size: int,
    new_run: Callable,
    new_start: Callable,
    source_type: type,
    trainer_type: type,
) -> None:
    start = new_start(raises_at=2, error=FULL, times=times)
    run = new_run(tmp_path)
    run.begin(start)
    while (result := run.step()).report and result.report.epoch < 3:
        pass
    assert result.failure is None and result.execution is not None
    assert result.execution.micro_batch_size == micro_batch_size
    run.end()
    other = source_type(trainer_type())
    later = new_run(tmp_path, source=other)
    later.begin(start)
    assert later.step().report == result.report
    plan = ExecutionPlan(micro_batches=32 // micro_batch_size)
    assert other.requests == [(plan, 1)], "another worker continues as the first one did"


def test_a_trial_that_runs_out_of_memory_in_the_smallest_micro_batches_ends_with_what_it_needed(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path)
    run.begin(new_start(raises_at=1, error=FULL, times=3))
    result = run.step()
    assert (result.failure, result.failed_allocation_bytes) == (Outcome.OOM, 3 * 2**30)
    run.begin(new_start(1, raises_at=1, error=FULL, times=3))
    result = run.step()
    assert (result.failure, result.failed_allocation_bytes) == (None, None), "the worker survives"


def test_the_model_that_ran_out_of_memory_is_freed_before_the_next_one_is_built(
    tmp_path: Path, new_run: Callable, new_start: Callable, source_type: type, trainer_type: type
) -> None:
    def run_out(epoch: int) -> None:
        raise MemoryError("no room")

    class Watching(source_type):
        first: weakref.ref[Any] | None = None

        def trainer(self, *request: Any) -> Any:
            if self.first is not None:
                gc.collect()
                assert self.first() is None
                return super().trainer(*request)
            trainer = trainer_type(run_out)
            self.first = weakref.ref(trainer)
            return trainer

    run = new_run(tmp_path, source=Watching(trainer_type()))
    run.begin(new_start())
    result = run.step()
    assert result.failure is None, result.error


@pytest.mark.parametrize("report_secs", [0.0, 1e9])
@pytest.mark.parametrize(
    ("full_at", "times", "lost_epochs"), [(1, 1, 1), (2, 1, 1), (2, 2, 2), (7, 1, 4), (7, 2, 8)]
)
def test_seconds_lost_when_memory_ran_out_are_counted_once(
    tmp_path: Path,
    full_at: int,
    times: int,
    lost_epochs: int,
    report_secs: float,
    new_run: Callable,
    new_start: Callable,
    source_type: type,
    trainer_type: type,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(
        "toprung.trainables.worker.trial_runner.time", SimpleNamespace(perf_counter=lambda: now[0])
    )

    def take_time(epoch: int) -> None:
        now[0] += 1.25
        trainer.usage += ResourceUsage(compile_secs=0.25)

    class Building(source_type):
        def trainer(self, *request: Any) -> Any:
            now[0] += 2.0
            return super().trainer(*request)

    trainer = trainer_type(take_time)
    run = new_run(tmp_path, source=Building(trainer), report_secs=report_secs)
    run.begin(new_start(raises_at=full_at, error=FULL, times=times))
    epoch, usage = 0, ResourceUsage()
    while epoch < 9:
        result = run.step()
        assert result.report is not None and result.failure is None
        epoch, usage = result.report.epoch, usage + result.resource_usage
    assert now[0] == 1.25 * (9 + lost_epochs) + 2.0 * (1 + times)
    assert result.report.elapsed_secs == 9
    assert usage.compile_secs == 0.25 * (9 + lost_epochs)
    setup_secs = now[0] - 9 - usage.compile_secs
    assert usage.trial_setup_secs == setup_secs, "what the trainer accounts for is no setup"
