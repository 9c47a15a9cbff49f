"""What a trial took on its worker beside its epochs: seconds by what they went into, and memory."""

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
    """One trial's use of its worker, or a part of it; parts add up with `+`.

    The seconds of a worker are its epochs and the first six here; `input_wait_secs` and `validation_secs` are
    parts of the
    epochs. `rss_bytes` is the process's own resident memory and `device_bytes` the peak on its accelerator since the
    process began (0 without one); a sum keeps the larger.
    """

    worker_startup_secs: float = 0.0
    """From the start of the process until the libraries and the data were there; the worker's first trial alone."""
    build_secs: float = 0.0
    """Building a model that no earlier trial of the worker had."""
    compile_secs: float = 0.0
    """Compiling its training step."""
    trial_setup_secs: float = 0.0
    """Resetting weights and optimizer, reading a checkpoint; what was trained in vain until memory ran out."""
    checkpoint_secs: float = 0.0
    """What the training waited for its checkpoints."""
    idle_secs: float = 0.0
    """Idle until the driver said what to do next."""
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
        """Seconds of the worker in which it did not train."""
        spent = (self.worker_startup_secs, self.build_secs, self.compile_secs)
        return sum(spent) + self.trial_setup_secs + self.checkpoint_secs + self.idle_secs


class IdleTimer:
    """Adds up the seconds between `rest` and `work`: those in which a worker had nothing to do."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._since: float | None = None

    def rest(self) -> None:
        """The worker has done what it was asked to."""
        self._since = self._clock()

    def work(self) -> float:
        """The worker was asked for something; returns for how many seconds it had rested, 0 the first time."""
        since, self._since = self._since, None
        return 0.0 if since is None else self._clock() - since


def process_age_secs() -> float:
    """Seconds since this process was started."""
    import psutil

    return time.time() - float(psutil.Process().create_time())


def rss_bytes() -> int:
    """Resident memory of this process alone.

    Mapped images do not count: the system takes their pages back when it needs room, so they say nothing of how far a
    worker has grown.
    """
    import psutil

    memory = psutil.Process().memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def memory_share_bytes(cpus: float) -> int:
    """What a worker with `cpus` of the cores here may hold before it is to be replaced: 0.8 of their share."""
    return int(0.8 * memory_bytes() * min(1.0, cpus / cores()))


def device_bytes() -> int:
    """The most that TensorFlow has held on one GPU since the process began; 0 without GPU or TensorFlow."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return 0
    names = [device.name for device in tensorflow.config.list_logical_devices("GPU")]
    peaks = (
        tensorflow.config.experimental.get_memory_info(name.removeprefix("/device:"))["peak"]
        for name in names
    )
    return int(max(peaks, default=0))
