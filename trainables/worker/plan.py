"""What all trials of a search have in common: data, model code, how they are run and computed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toprung.trainables.backend.autotune import Workload
from toprung.trainables.trial.execution import ExecutionRequest
from toprung.trainables.trial.objectives import Objectives

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.spaces.user_code.source_files import SourceFile
    from toprung.trainables.data.dataset import DataSpec
    from toprung.trainables.trial.report import EpochReport
    from toprung.trainables.worker.connection import Address


@dataclass(frozen=True)
class Rules:
    """How the trials of a search are run.

    max_epochs: the last epoch of a trial.
    checkpoint_epochs: the rungs; the state is saved after them.
    checkpoint_secs: the state is also saved when it was not for so long.
    report_secs: epochs between rungs are reported together, for as long as this.
    durable_rungs: a rung is reported only once its state is on storage, or has failed to get there.
    objectives: the metrics of the search, and its bounds. Measures of the model itself, such as its latency, are taken
        once a trial, before it is trained.
    enforces_bounds: whether a trial whose model breaks its bounds ends before it is trained.
    data_fingerprint: names the data; a state of other data is not resumed.
    code_fingerprint: names the user's code, empty without any; a state of another version of it is not resumed.
    """

    max_epochs: int
    checkpoint_epochs: frozenset[int] = frozenset()
    checkpoint_secs: float = 30.0
    report_secs: float = 0.0
    durable_rungs: bool = False
    objectives: Objectives = field(default_factory=lambda: Objectives.named(("val_accuracy",)))
    enforces_bounds: bool = True
    data_fingerprint: str = ""
    code_fingerprint: str = ""

    def is_rung(self, epoch: int) -> bool:
        """Whether the driver decides after this epoch."""
        return epoch in self.checkpoint_epochs or epoch >= self.max_epochs

    def score(self, report: EpochReport) -> float:
        """The main objective of a report, higher is better; minus infinity without a value or with NaN."""
        main = self.objectives.main
        score = main.score(report.metrics.get(main.metric, math.nan))
        return -math.inf if math.isnan(score) else score


@dataclass(frozen=True)
class DriverFacts:
    """What every node must have in common with the driver.

    Attributes:
        versions: By name, of Python, toprung, Keras, its backend and Ray.
        root: The run's folder or URI.
        token: What the driver wrote there.
    """

    versions: Mapping[str, str]
    root: str
    token: str


@dataclass(frozen=True)
class TrialPlan:
    """What all trials of a search have in common; each worker gets it once.

    data, source: the images, and the file that gives them where they are a user's own.
    family: the model family, and the file that defines it where it is a user's own.
    checkpoints: where trials keep their states, a folder or a URI.
    rules: how trials are run.
    cpus, gpus: of each worker.
    execution: how trials are to be computed.
    workload: the trials that the choice of an execution plan is made for.
    deterministic: whether every operation has to repeat its result exactly.
    autotune: where workers share their choices of an execution plan, a folder or a URI; None: each chooses for itself.
    worker_bytes: the memory at which a worker is replaced between two trials; None for 0.8 of its cores' share.
    epoch_limit_secs: a worker without a result for longer is considered to hang.
    driver: where the driver listens; None until it does.
    store_settings: where the driver's environment says that object stores are, see `store_settings`.
    preflight: what a worker's node must have in common with the driver; None where it is not compared.
    """

    data: DataSpec
    source: SourceFile
    family: SourceFile
    checkpoints: str
    rules: Rules
    cpus: float
    gpus: float = 0.0
    execution: ExecutionRequest = field(default_factory=ExecutionRequest)
    workload: Workload = field(default_factory=Workload)
    deterministic: bool = False
    autotune: str | None = None
    worker_bytes: int | None = None
    epoch_limit_secs: float = 6 * 3600.0
    driver: Address | None = None
    store_settings: Mapping[str, str] = field(default_factory=dict)
    preflight: DriverFacts | None = None
