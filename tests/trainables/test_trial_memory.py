"""A trial whose memory runs out is tried again: with more room, then with its batches in smaller parts."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.checkpoint import CheckpointStore
from trainables.computation import Computation, Computed
from trainables.costs import Costs
from trainables.messages import TrialStart
from trainables.report import Outcome
from trainables.trial_run import Rules, TrialRun


class Summing:
    """A trainer whose value is the sum of the epochs it trained; it has no memory at `full_at`, so many `times`."""

    parameter_count = 1

    def __init__(self) -> None:
        self.computation = Computation()
        self.raised = 0

    @property
    def computed(self) -> Computed:
        return Computed("cpu", "float32", xla=False, micro_batch_size=32 // self.computation.parts)

    def reset(self, config: Any, seed: int) -> None:
        self.config, self.total = dict(config), 0.0

    def take_costs(self) -> Costs:
        return Costs()

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


class Source:
    """A worker with one trainer; `rooms` counts how often it was asked to make room."""

    def __init__(self) -> None:
        self.given, self.rooms, self.asked_for = Summing(), 0, []

    def trainer(self, config: Any, computation: Any, least_parts: int) -> Any:
        self.asked_for.append((computation, least_parts))
        taken = computation or Computation()
        self.given.computation = replace(taken, parts=max(taken.parts, least_parts))
        return self.given

    def take_startup_secs(self) -> float:
        return 0.0

    def make_room(self) -> None:
        self.rooms += 1


def run_at(root: Path, source: Source | None = None, **settings: Any) -> TrialRun:
    given = {"max_epochs": 9, "checkpoint_epochs": frozenset({1, 3, 9}), "data_fingerprint": "f", **settings}
    return TrialRun(source or Source(), CheckpointStore(str(root)), Rules(**given))


def start(number: int = 0, **config: Any) -> TrialStart:
    return TrialStart(f"t{number:05d}", number, seed=number, config=config)


@pytest.mark.parametrize("full_at", [1, 2, 5])
def test_a_trial_without_memory_is_tried_again_with_more_room(tmp_path: Path, full_at: int) -> None:
    source = Source()
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
    tmp_path: Path, times: int, micro_batch_size: int
) -> None:
    run = run_at(tmp_path)
    run.begin(start(full_at=2, times=times))
    while (result := run.step()).report and result.report.epoch < 3:
        pass
    assert result.failure is None and result.computed is not None
    assert result.computed.micro_batch_size == micro_batch_size
    run.end()
    other = Source()
    later = run_at(tmp_path, other)
    later.begin(start(full_at=2, times=times))
    assert later.step().report == result.report
    parts = 32 // micro_batch_size
    assert other.asked_for == [(Computation(parts=parts), 1)], "another worker goes on as the first one did"


def test_a_trial_that_runs_out_of_memory_in_the_smallest_parts_ends_with_what_it_wanted(
    tmp_path: Path,
) -> None:
    run = run_at(tmp_path)
    run.begin(start(full_at=1, times=3))
    result = run.step()
    assert (result.failure, result.wanted_bytes) == (Outcome.OOM, 3 * 2**30)
    run.begin(start(1, full_at=1, times=3))
    result = run.step()
    assert (result.failure, result.wanted_bytes) == (None, None), "the worker lives on"


def test_the_model_that_ran_out_of_memory_is_gone_before_the_next_one_is_built(tmp_path: Path) -> None:
    class Short(Summing):
        def train_epoch(self, epoch: int) -> dict[str, float]:
            raise MemoryError("no room")

    class Watching(Source):
        alive: weakref.ref[Short] | None = None

        def trainer(self, config: Any, computation: Any, least_parts: int) -> Any:
            if self.alive is not None:
                gc.collect()
                assert self.alive() is None
                return super().trainer(config, computation, least_parts)
            short = Short()
            self.alive = weakref.ref(short)
            return short

    run = run_at(tmp_path, Watching())
    run.begin(start())
    result = run.step()
    assert result.failure is None, result.error
