"""What the driver and a worker tell each other: a trial to begin, an epoch's results, what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.trial.execution import ExecutionRecord
    from toprung.trainables.trial.report import EpochReport, Outcome


@dataclass(frozen=True)
class TrialStart:
    """What a worker needs to begin one trial, and what its row needs to be run again."""

    trial_id: str
    number: int
    seed: int
    config: Mapping[str, object]


@dataclass(frozen=True)
class EpochResult:
    """What one step of a worker tells the driver.

    `report` is the newest epoch, `history` the epochs before it that were not told yet; `report` is None when
    the trial failed before it could measure anything new. `failure` and `error` are set when the trial is over;
    `failed_allocation_bytes` is what it last asked for in vain, if it did and the error says. `costs` is what was
    spent since the
    last result.
    """

    report: EpochReport | None
    history: tuple[EpochReport, ...] = ()
    failure: Outcome | None = None
    error: str = ""
    failed_allocation_bytes: int | None = None
    costs: ResourceUsage = field(default_factory=ResourceUsage)
    parameter_count: int = 0
    computed: ExecutionRecord | None = None


@dataclass(frozen=True)
class Worker:
    """Which process a result came from; `outgrown` when it is to be replaced, for the memory it holds."""

    node: str = ""
    pid: int = 0
    outgrown: bool = False


@dataclass(frozen=True)
class WorkerReport:
    """A result on its way to the driver."""

    trial_id: str
    result: EpochResult
    worker: Worker


class Order(Enum):
    """What a worker does next where it is not to begin a trial."""

    CONTINUE = "go on with the trial at hand"
    SHUTDOWN = "there is nothing more to do, or not for this process"


Answer = TrialStart | Order
