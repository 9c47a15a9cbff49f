"""One search job: what a job file may say, each field one sentence with its unit and its default."""

from __future__ import annotations

import math
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from toprung.search.jobs.data_section import DataSection
from toprung.search.jobs.section import Section
from toprung.spaces.user_code.references import absolute
from toprung.trainables.data.dataset import DataSpec
from toprung.trainables.trial.execution import ExecutionRequest
from toprung.trainables.trial.objectives import Objectives

# Here .inf passes for the space to judge: it tells in one line what the parameter may be.
JsonScalar = str | int | Annotated[float, Field(allow_inf_nan=True)] | bool | None
MLFLOW_KINDS = frozenset({"http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", "databricks"})


Metric = Literal[
    "val_accuracy", "val_loss", "val_balanced_accuracy", "val_macro_f1", "val_auc", "val_calibration_error"
]
Objective = Literal[Metric, "parameter_count", "latency_ms"]


class SpaceSection(Section):
    """What may be chosen."""

    name: str = Field("cnn", description="A space of ours, or file.py:Family or module:Family of yours.")
    fixed: dict[str, JsonScalar] = Field({}, description="Parameters held at one value.")
    ranges: dict[str, Any] = Field(
        {}, description="Parameters narrowed to [low, high], {low, high} or {choices: [...]}."
    )

    @model_validator(mode="before")
    @classmethod
    def a_bare_name_is_a_space(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Budgets(Section):
    """What the search may spend beside `trials`; whichever ends first, and no limit where none is given."""

    epochs: Annotated[int, Field(gt=0)] | None = Field(None, description="Epochs over all trials.")
    gpu_hours: Annotated[float, Field(gt=0)] | None = Field(
        None, description="GPU share times hours trained."
    )
    wall_clock_hours: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Hours from the start of the command; a continued run has them anew."
    )
    target: float | None = Field(None, description="Value of the metric at which the search has won.")
    plateau_trials: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Ended trials in a row without a new best."
    )


class SearchSection(Section):
    """How the space is searched."""

    trials: Annotated[int, Field(gt=0, le=1_000_000)] = Field(32, description="Configurations to try.")
    max_epochs: Annotated[int, Field(gt=0, le=100_000)] = Field(27, description="Epochs of a full training.")
    reduction_factor: Annotated[int, Field(ge=2, le=100)] = Field(
        3, description="One trial in this many survives each rung."
    )
    min_epochs: Annotated[int, Field(gt=0)] = Field(
        1, description="Epoch of the first rung; nobody is stopped before it."
    )
    sampler: str = Field(
        "stacked",
        description="stacked (ours: every rung helps), tpe, cmaes, random, qmc, gp (needs torch), or module:function.",
    )
    metric: Metric = Field("val_accuracy", description="What is optimised.")
    objectives: list[Objective] = Field(
        [], description="metric and what to trade it off against, such as latency_ms; none: the metric alone."
    )
    variant: Literal["stop", "promote"] = Field(
        "stop", description="stop: a rung cuts the weak; promote: all pause at a rung, the strong go on."
    )
    initial_configs: list[dict[str, JsonScalar]] | None = Field(
        None,
        description="Tried first, what they leave out is drawn; if not given, what is usual in the space. [] for none.",
    )
    warm_start: list[str] = Field(
        [], description="Earlier RUN folders, of this or a similar space, to learn from."
    )
    budgets: Budgets = Budgets()

    @model_validator(mode="after")
    def objectives_hold_the_metric(self) -> SearchSection:
        if not self.objectives:
            return self
        if self.metric not in self.objectives or len(set(self.objectives)) < max(2, len(self.objectives)):
            given = ", ".join(self.objectives)
            raise ValueError(f"objectives is [{given}], and must hold {self.metric} and others, each once")
        return self

    @model_validator(mode="after")
    def a_rung_stands_within_the_training(self) -> SearchSection:
        if self.min_epochs > self.max_epochs:
            raise ValueError(f"min_epochs is {self.min_epochs}, and max_epochs {self.max_epochs} is less")
        return self

    @property
    def optimized(self) -> Objectives:
        """What the search optimizes: the metric, which picks the winner, then the other objectives."""
        return Objectives.named((self.metric, *self.secondary_objectives))

    @property
    def mode(self) -> str:
        """Whether the metric is to be large ("max") or small ("min")."""
        return self.optimized.main.mode

    @property
    def secondary_objectives(self) -> tuple[str, ...]:
        """The objectives beside the metric."""
        return tuple(name for name in self.objectives if name != self.metric)

    @property
    def modes(self) -> dict[str, str]:
        """Every objective, the metric first, with "max" or "min"."""
        return {objective.metric: objective.mode for objective in self.optimized.all}


class ResourcesSection(Section):
    """What one trial gets, and how many run at once."""

    cpus: Annotated[float, Field(gt=0)] = Field(1, description="CPU cores of a trial.")
    gpus: float | Literal["auto"] = Field(
        0.0,
        description="GPUs of a trial, whole above 1; 0.5 puts two on one GPU, auto as many as measured to fit.",
    )
    concurrent: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Trials at once at most; as many as fit if none is given."
    )
    precision: Literal["auto", "float32", "mixed_bfloat16"] = Field(
        "auto", description="Of a trial's layers; auto: the faster one on an accelerator, float32 on a CPU."
    )
    xla: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether steps are compiled with XLA; auto: what is faster on an accelerator, off on a CPU.",
    )
    steps_per_call: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="Training steps in one call of the device at most; what is fastest if none is given.",
    )
    deterministic: bool = Field(
        False,
        description="Whether a trial repeats bit for bit on a GPU too: slower steps, float32 without XLA if on auto.",
    )
    worker_memory_gb: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="GB of memory past which a worker is replaced between trials; 0.8 of its cores' share if none.",
    )
    max_failures: Annotated[int, Field(ge=0)] = Field(
        3, description="Times a trial is restarted after its worker died."
    )
    max_epoch_hours: Annotated[float, Field(gt=0, le=8760)] = Field(
        6.0,
        description="Hours an epoch may take; a worker that says nothing for longer hangs, and is replaced.",
    )

    @field_validator("gpus", mode="plain")
    @classmethod
    def number_or_auto(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf
        # Ray shares one GPU among trials, and gives a trial several only as whole ones.
        if value != "auto" and not (is_number and (value <= 1 or value == int(value))):
            raise PydanticCustomError("gpus", "must be 0 to 1, a whole number above, or auto")
        return value if value == "auto" else float(value)

    @field_validator("xla", mode="before")
    @classmethod
    def yaml_reads_on_and_off_as_booleans(cls, value: Any) -> Any:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    def asked(self) -> ExecutionRequest:
        """How trials are to be computed, as their workers take it."""
        # What is timed may come out otherwise the next time.
        open_precision, open_xla = ("float32", False) if self.deterministic else (None, None)
        return ExecutionRequest(
            precision=open_precision if self.precision == "auto" else self.precision,
            xla=open_xla if self.xla == "auto" else self.xla == "on",
            steps_per_call=self.steps_per_call,
        )


class StorageSection(Section):
    """Where the run folder goes."""

    path: str = Field("runs", description="Folder, or URI such as s3://bucket/runs, that holds RUN folders.")
    checkpoint_secs: Annotated[float, Field(gt=0)] = Field(
        30.0, description="Seconds of training after which a trial is saved between its rungs."
    )

    checkpoint_gb: Annotated[float, Field(gt=0)] = Field(
        20.0,
        description="GB that the trials' states may take; the oldest ended trials' go first, the best one's never.",
    )
    keep_stopped: bool = Field(False, description="Whether trials that were stopped keep their states too.")


class TrackingSection(Section):
    """Where MLflow writes."""

    uri: str | None = Field(None, description="MLflow tracking URI; SQLite inside the run folder if none.")
    experiment: str = Field("toprung", min_length=1, description="MLflow experiment.")
    enabled: bool = Field(True, description="Whether MLflow is written at all.")

    @field_validator("uri")
    @classmethod
    def mlflow_knows_its_kind(cls, value: str | None) -> str | None:
        kind, separator, _ = (value or "").partition("://")
        plugins = (
            {plugin.name for plugin in entry_points(group="mlflow.tracking_store")} if separator else set()
        )
        # A database's kind may name its driver, as in postgresql+psycopg2.
        if separator and kind.partition("+")[0] not in MLFLOW_KINDS | plugins:
            raise PydanticCustomError(
                "uri", f"must begin with {', '.join(sorted(MLFLOW_KINDS | plugins))}, or be a path"
            )
        return value


class RetrainSection(Section):
    """How the winner is chosen for good, and trained again."""

    confirm: Annotated[int, Field(ge=0, le=100)] = Field(
        0, description="The best so many trials are trained with new seeds, and their mean picks the winner."
    )
    seeds: Annotated[int, Field(ge=2, le=100)] = Field(
        3, description="New seeds that each of them is trained with, for max_epochs."
    )

    epochs: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="Epochs on train + validation; where its validation curve is best on the whole if none.",
    )
    registered_name: str | None = Field(
        None, description="Registered model; the job's name if none is given."
    )


class JobSpec(Section):
    """One validated search job. The effective copy is saved as RUN/job.yaml."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = Field(
        description="Name of the run folder; the job file's own name if none is given."
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        0, description="Seed of proposals and trials, and of the splits where data.seed gives none."
    )
    data: DataSection
    space: SpaceSection = SpaceSection()
    search: SearchSection = SearchSection()
    resources: ResourcesSection = ResourcesSection()
    storage: StorageSection = StorageSection()
    tracking: TrackingSection = TrackingSection()
    retrain: RetrainSection = RetrainSection()

    @property
    def family(self) -> str:
        """The space's name as every process of this machine can look it up."""
        return absolute(self.space.name)

    @property
    def run_root(self) -> str:
        """The run folder: `storage.path`/`name`, absolute where it is local."""
        if "://" in self.storage.path:
            return f"{self.storage.path.rstrip('/')}/{self.name}"
        return str(Path(self.storage.path).expanduser().absolute() / self.name)

    @property
    def split_seed(self) -> int:
        """The seed that draws the splits."""
        return self.seed if self.data.seed is None else self.data.seed

    def data_spec(self) -> DataSpec:
        """The data section as the trials' data layer takes it."""
        return self.data.spec(self.split_seed)
