"""A trial whose memory runs out is tried again: with more room, then with its batches in smaller parts."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.resource_usage import ResourceUsage
from toprung.trainables.worker.trial_runner import TrialRun


class Summing:
    """A trainer whose value is the sum of the epochs it trained; it has no memory at `full_at`, so many `times`."""

    parameter_count = 1

    def __init__(self) -> None:
        self.computation = ExecutionPlan()
        self.raised = 0

    @property
    def computed(self) -> ExecutionRecord:
        return ExecutionRecord("cpu", "float32", xla=False, micro_batch_size=32 // self.computation.parts)

    def reset(self, config: Any, seed: int) -> None:
        self.config, self.total = dict(config), 0.0

    def take_costs(self) -> ResourceUsage:
        return ResourceUsage()

    def train_epoch(self, epoch: int) -> dict[str, float]:
        if epoch == self.config.get("full_at") and self.raised < self.config["times"]:
            self.raised += 1
            raise MemoryError("Unable to allocate 3.00 GiB for an array")
        self.total += epoch
        return {"val_accuracy": self.total}

    def latency_ms(self) -> float:
        return 2.0

    def state(self) -> dict[str, np.ndarray]:
        return {"total": np.array(self.total)}

    def load_state(self, state: Any) -> None:
        self.total = float(state["total"])


@pytest.fixture
def run_at(run_from: Callable, source_type: type) -> Callable[..., TrialRun]:
    """A run at a folder, on a worker of its own unless one is given."""
    return lambda root, source=None, **rules: run_from(root, source or source_type(Summing()), **rules)


def start(number: int = 0, **config: Any) -> TrialStart:
    return TrialStart(f"t{number:05d}", number, seed=number, config=config)


@pytest.mark.parametrize("full_at", [1, 2, 5])
def test_a_trial_without_memory_is_tried_again_with_more_room(
    tmp_path: Path, full_at: int, run_at: Callable, source_type: type
) -> None:
    source = source_type(Summing())
    run = run_at(tmp_path, source, report_secs=1e9)
    run.begin(start(full_at=full_at, times=1))
    told: dict[int, float] = {}
    while 9 not in told:
        result = run.step()
        assert result.failure is None
        for report in (*result.history, *([result.report] if result.report else [])):
            value = told.setdefault(report.epoch, report.metrics["val_accuracy"])
            assert value == report.metrics["val_accuracy"], "what was told before the error is repeated alike"
    assert source.rooms == 1
    assert told == {epoch: sum(range(epoch + 1)) for epoch in range(1, 10)}, "as without the error"


@pytest.mark.parametrize(("times", "micro_batch_size"), [(1, 16), (2, 4)])
def test_each_time_that_memory_runs_out_batches_are_cut_into_smaller_parts(
    tmp_path: Path, times: int, micro_batch_size: int, run_at: Callable, source_type: type
) -> None:
    run = run_at(tmp_path)
    run.begin(start(full_at=2, times=times))
    while (result := run.step()).report and result.report.epoch < 3:
        pass
    assert result.failure is None and result.computed is not None
    assert result.computed.micro_batch_size == micro_batch_size
    run.end()
    other = source_type(Summing())
    later = run_at(tmp_path, other)
    later.begin(start(full_at=2, times=times))
    assert later.step().report == result.report
    parts = 32 // micro_batch_size
    assert other.asked_for == [(ExecutionPlan(parts=parts), 1)], "another worker goes on as the first one did"


def test_a_trial_that_runs_out_of_memory_in_the_smallest_parts_ends_with_what_it_wanted(
    tmp_path: Path, run_at: Callable
) -> None:
    run = run_at(tmp_path)
    run.begin(start(full_at=1, times=3))
    result = run.step()
    assert (result.failure, result.failed_allocation_bytes) == (Outcome.OOM, 3 * 2**30)
    run.begin(start(1, full_at=1, times=3))
    result = run.step()
    assert (result.failure, result.failed_allocation_bytes) == (None, None), "the worker lives on"


def test_the_model_that_ran_out_of_memory_is_gone_before_the_next_one_is_built(
    tmp_path: Path, run_at: Callable, source_type: type
) -> None:
    class Short(Summing):
        def train_epoch(self, epoch: int) -> dict[str, float]:
            raise MemoryError("no room")

    class Watching(source_type):
        alive: weakref.ref[Short] | None = None

        def trainer(self, config: Any, computation: Any, least_parts: int) -> Any:
            if self.alive is not None:
                gc.collect()
                assert self.alive() is None
                return super().trainer(config, computation, least_parts)
            short = Short()
            self.alive = weakref.ref(short)
            return short

    run = run_at(tmp_path, Watching(Summing()))
    run.begin(start())
    result = run.step()
    assert result.failure is None, result.error


@pytest.mark.parametrize("report_secs", [0.0, 1e9])
@pytest.mark.parametrize(
    ("full_at", "times", "in_vain"), [(1, 1, 1), (2, 1, 1), (2, 2, 2), (7, 1, 4), (7, 2, 8)]
)
def test_seconds_lost_to_want_of_memory_are_told_once(
    tmp_path: Path,
    full_at: int,
    times: int,
    in_vain: int,
    report_secs: float,
    run_at: Callable,
    source_type: type,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(
        "toprung.trainables.worker.trial_runner.time", SimpleNamespace(perf_counter=lambda: now[0])
    )

    class Slow(Summing):
        traced_secs = 0.0

        def train_epoch(self, epoch: int) -> dict[str, float]:
            now[0] += 1.25
            self.traced_secs += 0.25
            return super().train_epoch(epoch)

        def take_costs(self) -> ResourceUsage:
            taken, self.traced_secs = ResourceUsage(compile_secs=self.traced_secs), 0.0
            return taken

    class Building(source_type):
        def trainer(self, *asked: Any) -> Any:
            now[0] += 2.0
            return super().trainer(*asked)

    run = run_at(tmp_path, Building(Slow()), report_secs=report_secs)
    run.begin(start(full_at=full_at, times=times))
    told, costs = 0, ResourceUsage()
    while told < 9:
        result = run.step()
        assert result.report is not None and result.failure is None
        told, costs = result.report.epoch, costs + result.costs
    assert now[0] == 1.25 * (9 + in_vain) + 2.0 * (1 + times)
    assert result.report.elapsed_secs == 9
    assert costs.compile_secs == 0.25 * (9 + in_vain)
    assert costs.trial_setup_secs == now[0] - 9 - costs.compile_secs, "what the trainer tells of is no setup"
