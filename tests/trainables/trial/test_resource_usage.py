"""Seconds add up, memory keeps its peak, and a worker's idle time is measured between two calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toprung.trainables.system.resource_limits import cores, memory_bytes
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
    usage = ResourceUsage(1, 2, 4, 8, 16, 32, input_wait_secs=64, validation_secs=128)
    assert usage.overhead_secs == 63


def test_idle_time_is_that_between_start_and_the_next_stop() -> None:
    now = [10.0]
    idle = IdleTimer(lambda: now[0])
    assert idle.stop() == 0
    now[0] = 11.0
    idle.start()
    now[0] = 14.0
    assert idle.stop() == 3.0
    assert idle.stop() == 0, "it was not started again"


def test_this_process_has_an_age_and_memory_but_no_gpu_yet() -> None:
    assert process_age_secs() > 0
    assert rss_bytes() > 2**20
    assert device_bytes() == 0


def test_mapped_images_do_not_count_as_a_workers_memory(tmp_path: Path) -> None:
    import psutil

    size = 64 * 2**20
    np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (size,))[:] = 1
    own, total = rss_bytes(), psutil.Process().memory_info().rss
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert int(images[::4096].sum()) == size // 4096
    assert psutil.Process().memory_info().rss - total > size // 2
    assert rss_bytes() - own < size // 4


def test_all_workers_of_a_machine_together_stay_below_its_memory() -> None:
    assert cores() * memory_share_bytes(1) <= memory_bytes()
    assert memory_share_bytes(2 * cores()) == memory_share_bytes(cores())
