"""What a trial used of its worker beside its epochs: seconds by purpose, and memory."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from toprung.trainables.system.resource_limits import cores, memory_bytes

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class ResourceUsage:
    """What one trial used of its worker, or a part of that; parts add up with `+`.

    A worker's seconds are those of its epochs and the first six fields; `input_wait_secs` and `validation_secs` are
    parts of the epochs. `rss_bytes` is the resident memory of the process and `device_bytes` the peak on its
    accelerator since the process began (0 without one); a sum keeps the larger of two. The fields are columns of the
    trials table.
    """

    worker_startup_secs: float = 0.0
    """From the start of the process until libraries and data were loaded; for a worker's first trial alone."""
    build_secs: float = 0.0
    """Building the model; 0 when an earlier trial of the worker had built it."""
    compile_secs: float = 0.0
    """Compiling the training step."""
    trial_setup_secs: float = 0.0
    """Resetting weights and optimizer, reading a checkpoint, and epochs that were lost when memory ran out."""
    checkpoint_secs: float = 0.0
    """How long the training waited for its checkpoints."""
    idle_secs: float = 0.0
    """Waiting for the driver's next instruction."""
    input_wait_secs: float = 0.0
    validation_secs: float = 0.0
    rss_bytes: int = 0
    device_bytes: int = 0

    def __add__(self, other: ResourceUsage) -> ResourceUsage:
        most = ("rss_bytes", "device_bytes")
        names = [field.name for field in fields(self)]
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in names}
        return ResourceUsage(
            **{name: max(pair) if name in most else sum(pair) for name, pair in pairs.items()}
        )

    @property
    def overhead_secs(self) -> float:
        """The worker's seconds outside its epochs."""
        spent = (self.worker_startup_secs, self.build_secs, self.compile_secs)
        return sum(spent) + self.trial_setup_secs + self.checkpoint_secs + self.idle_secs


class IdleTimer:
    """Measures how long a worker waits between a `start` and the next `stop`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._since: float | None = None

    def start(self) -> None:
        """The worker has finished what it was told to do."""
        self._since = self._clock()

    def stop(self) -> float:
        """The worker has something to do again; returns the seconds since `start`, 0 without one."""
        since, self._since = self._since, None
        return 0.0 if since is None else self._clock() - since


def process_age_secs() -> float:
    """Seconds since this process was started."""
    import psutil

    return time.time() - float(psutil.Process().create_time())


def rss_bytes() -> int:
    """Resident memory of this process alone.

    Memory-mapped images are left out: the system reclaims their pages when it needs memory, so they do not show how
    much a worker has grown.
    """
    import psutil

    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def memory_share_bytes(cpus: float) -> int:
    """The memory at which a worker with `cpus` cores is replaced: 0.8 of its cores' share of this machine."""
    return int(0.8 * memory_bytes() * min(1.0, cpus / cores()))


def device_bytes() -> int:
    """The peak memory of TensorFlow on one GPU since the process began; 0 without a GPU or without TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return 0
    names = [device.name for device in tensorflow.config.list_logical_devices("GPU")]
    peaks = (
        tensorflow.config.experimental.get_memory_info(name.removeprefix("/device:"))["peak"]
        for name in names
    )
    return int(max(peaks, default=0))
