"""Seconds add up, memory keeps its peak, and a worker's rest is measured between two calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from toprung.trainables.system.resource_limits import cores, memory_bytes
from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.resource_usage import (
    IdleTimer,
    ResourceUsage,
    device_bytes,
    memory_share_bytes,
    process_age_secs,
    rss_bytes,
)


def test_parts_add_up_and_memory_keeps_the_larger() -> None:
    total = ResourceUsage(build_secs=1.0, input_wait_secs=2.0, rss_bytes=5) + ResourceUsage(
        build_secs=0.5, rss_bytes=3, device_bytes=7
    )
    assert total == ResourceUsage(build_secs=1.5, input_wait_secs=2.0, rss_bytes=5, device_bytes=7)
    assert ResourceUsage() + total == total


def test_overhead_is_what_is_not_training() -> None:
    costs = ResourceUsage(1, 2, 4, 8, 16, 32, input_wait_secs=64, validation_secs=128)
    assert costs.overhead_secs == 63


class Compiling:
    """A trainer that spends all of an epoch on compiling."""

    parameter_count, computation, computed = 1, ExecutionPlan(), ExecutionRecord("cpu", "float32", xla=True)
    compiled_secs = 0.0

    def reset(self, config: Any, seed: int) -> None: ...

    def take_costs(self) -> ResourceUsage:
        taken, self.compiled_secs = ResourceUsage(compile_secs=self.compiled_secs), 0.0
        return taken

    def train_epoch(self, epoch: int) -> dict[str, float]:
        began = time.perf_counter()
        time.sleep(0.2)
        self.compiled_secs = self.told = time.perf_counter() - began
        return {"val_accuracy": 0.5}

    def latency_ms(self) -> float:
        return 1.0

    def state(self) -> dict[str, np.ndarray]:
        return {}


def test_what_a_phase_compiles_is_no_part_of_its_epoch(
    tmp_path: Path, run_from: Callable, source_type: type
) -> None:
    run = run_from(tmp_path, source_type(trainer := Compiling()))
    run.begin(TrialStart("t00000", 0, 1, {}))
    result = run.step()
    assert 0.0 <= result.report.epoch_secs == result.report.elapsed_secs < 0.2
    assert result.costs.compile_secs == trainer.told >= 0.2


def test_rest_is_the_time_between_an_answer_and_the_next_question() -> None:
    now = [10.0]
    idle = IdleTimer(lambda: now[0])
    assert idle.work() == 0
    now[0] = 11.0
    idle.rest()
    now[0] = 14.0
    assert idle.work() == 3.0
    assert idle.work() == 0, "it has not rested since"


def test_this_process_has_an_age_and_memory_but_no_gpu_yet() -> None:
    assert process_age_secs() > 0
    assert rss_bytes() > 2**20
    assert device_bytes() == 0


def test_mapped_images_do_not_count_as_a_workers_memory(tmp_path: Path) -> None:
    import psutil

    size = 64 * 2**20
    np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (size,))[:] = 1
    own, whole = rss_bytes(), psutil.Process().memory_info().rss
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert int(images[::4096].sum()) == size // 4096
    assert psutil.Process().memory_info().rss - whole > size // 2
    assert rss_bytes() - own < size // 4


def test_all_workers_of_a_machine_together_stay_below_its_memory() -> None:
    assert cores() * memory_share_bytes(1) <= memory_bytes()
    assert memory_share_bytes(2 * cores()) == memory_share_bytes(cores())
