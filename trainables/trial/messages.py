"""Messages between the driver and a worker: a trial to begin, the results of epochs, what to do next."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.trial.epoch_limit import EpochLimit
    from toprung.trainables.trial.execution import ExecutionRecord
    from toprung.trainables.trial.report import EpochReport, Outcome


@dataclass(frozen=True)
class TrialStart:
    """What a worker needs to begin one trial, and what a row needs so that the trial can be run again.

    A trial whose epochs are found to be beyond `epoch_limit` before the first is not trained.
    """

    trial_id: str
    number: int
    seed: int
    config: Mapping[str, object]
    epoch_limit: EpochLimit | None = None


@dataclass(frozen=True)
class EpochResult:
    """What one step of a worker reports to the driver.

    `report` is the newest epoch and `history` the epochs before it that were not reported yet; `report` is None when
    the trial failed before it measured anything new. `failure`, `error` and `reason` are set when the trial has failed,
    or is STOPPED before its first epoch; `failed_allocation_bytes` is the size of the last allocation that
    failed, if the error names it. `resource_usage` is what the worker spent since its last result; `notes` say what the
    user should know of the trial; `model_measures` are what is optimised or bounded of the model itself.
    """

    report: EpochReport | None
    history: tuple[EpochReport, ...] = ()
    failure: Outcome | None = None
    error: str = ""
    failed_allocation_bytes: int | None = None
    resource_usage: ResourceUsage = field(default_factory=ResourceUsage)
    parameter_count: int = 0
    execution: ExecutionRecord | None = None
    notes: tuple[str, ...] = ()
    reason: str = ""
    model_measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Worker:
    """A worker's process: the name of its host, and whether it holds too much memory and is to be replaced.

    `node_id` is what Ray calls the node.
    """

    node: str = ""
    pid: int = 0
    recycled: bool = False
    node_id: str = ""


@dataclass(frozen=True)
class WorkerReady:
    """A worker has started and asks for its first trial; `slot` is its name at the dispatcher."""

    slot: str
    worker: Worker


@dataclass(frozen=True)
class WorkerReport:
    """A result on its way to the driver."""

    trial_id: str
    result: EpochResult
    worker: Worker


@dataclass(frozen=True)
class TrainingBegins:
    """A worker has set up its trial and trains from now on; it expects no answer."""


class Order(Enum):
    """What a worker does next when it does not begin a trial."""

    CONTINUE = "continue the current trial"
    SHUTDOWN = "end this process: no work is left for it"


Instruction = TrialStart | Order
"""The driver's reply to a worker."""
