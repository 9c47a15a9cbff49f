"""One search job: what a job file may say, each field one sentence with its unit and its default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from trainables.computation import Asked
from trainables.data import DataSpec
from trainables.data_place import place_of

JsonScalar = str | int | float | bool | None
Metric = Literal[
    "val_accuracy", "val_loss", "val_balanced_accuracy", "val_macro_f1", "val_auc", "val_calibration_error"
]
Objective = Literal[Metric, "parameter_count", "latency_ms"]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A part of the job file: frozen, and any key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Splits(Section):
    """How much of the images is held back, where the source does not bring its own splits."""

    val: Fraction = Field(0.15, description="Share of the images that selects the winner.")
    test: Fraction = Field(0.15, description="Share of the images sealed until the retrain.")

    @model_validator(mode="after")
    def leaves_images_to_train_on(self) -> Splits:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test is {self.val + self.test:g}, and must be below 1")
        return self


class DataSection(Section):
    """Which images, and how they are split."""

    source: str = Field("", description="Name of a source, or file.py:function; found from `path` if empty.")
    path: str | None = Field(
        None, min_length=1, description="File or folder of the images, or a URI (s3://, gs://)."
    )
    image_size: Annotated[int, Field(ge=4, le=1024)] | None = Field(
        None, description="Height and width in pixels that images are resized to."
    )
    fit: Literal["stretch", "pad", "crop"] = Field(
        "stretch", description="How an image that is not square becomes so."
    )
    channels: Literal[1, 3] | None = Field(
        None, description="1 for grey, 3 for RGB; the source's own if none."
    )
    max_train_images: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Training images kept, a stratified sample; all if none is given."
    )
    image_column: str = Field("image", min_length=1, description="Parquet column of the encoded images.")
    label_column: str = Field("label", min_length=1, description="Parquet column of class numbers, or lists.")
    task: Literal["auto", "softmax", "binary", "multilabel"] = Field(
        "auto",
        description="softmax: one class of several; binary: one sigmoid for two; multilabel: any; auto: by the labels.",
    )
    splits: Splits = Splits()
    max_corrupt_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.01, description="Share of unreadable images that is skipped, by name, before the job is refused."
    )

    @model_validator(mode="before")
    @classmethod
    def a_bare_name_is_a_source(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


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

    @property
    def mode(self) -> str:
        """Whether the metric is to be large ("max") or small ("min")."""
        return mode_of(self.metric)

    @property
    def traded(self) -> tuple[str, ...]:
        """The objectives beside the metric."""
        return tuple(name for name in self.objectives if name != self.metric)

    @property
    def modes(self) -> dict[str, str]:
        """Every objective, the metric first, with "max" or "min"."""
        return {name: mode_of(name) for name in (self.metric, *self.traded)}


def mode_of(objective: str) -> str:
    """Whether an objective is to be large ("max") or small ("min")."""
    small = ("loss", "error", "count", "_ms")
    return "min" if objective.endswith(small) else "max"


class ResourcesSection(Section):
    """What one trial gets, and how many run at once."""

    cpus: Annotated[float, Field(gt=0)] = Field(1, description="CPU cores of a trial.")
    gpus: Annotated[float, Field(ge=0)] = Field(0, description="GPUs of a trial; 0.5 puts two on one GPU.")
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
    worker_memory_gb: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="GB of memory past which a worker is replaced between trials; 0.8 of its cores' share if none.",
    )
    max_failures: Annotated[int, Field(ge=0)] = Field(
        3, description="Times a trial is restarted after its worker died."
    )

    @field_validator("xla", mode="before")
    @classmethod
    def yaml_reads_on_and_off_as_booleans(cls, value: Any) -> Any:
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value

    def asked(self) -> Asked:
        """How trials are to be computed, as their workers take it."""
        return Asked(
            precision=None if self.precision == "auto" else self.precision,
            xla=None if self.xla == "auto" else self.xla == "on",
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
        description="GB that the trials' states may take; the oldest completed trials' go first, the best one's never.",
    )


class TrackingSection(Section):
    """Where MLflow writes."""

    uri: str | None = Field(None, description="MLflow tracking URI; SQLite inside the run folder if none.")
    experiment: str = Field("toprung", min_length=1, description="MLflow experiment.")
    enabled: bool = Field(True, description="Whether MLflow is written at all.")


class RetrainSection(Section):
    """How the winner is trained again."""

    epochs: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Epochs on train + validation; the epoch of its best validation value if none."
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
        0, description="Seed of splits, proposals and trials."
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
        return absolute_name(self.space.name)

    @property
    def run_root(self) -> str:
        """The run folder: `storage.path`/`name`, absolute where it is local."""
        if "://" in self.storage.path:
            return f"{self.storage.path.rstrip('/')}/{self.name}"
        return str(Path(self.storage.path).expanduser().absolute() / self.name)

    def data_spec(self) -> DataSpec:
        """The data section as the trials' data layer takes it, paths made absolute for other processes."""
        path = self.data.path
        if path is not None and "://" not in path:
            path = str(Path(path).expanduser().absolute())
        return DataSpec(
            source=absolute_name(self.data.source) or source_of(path),
            path=path,
            image_size=self.data.image_size,
            channels=self.data.channels,
            fit=self.data.fit,
            max_train_images=self.data.max_train_images,
            image_column=self.data.image_column,
            label_column=self.data.label_column,
            task=self.data.task,
            val_fraction=self.data.splits.val,
            test_fraction=self.data.splits.test,
            seed=self.seed,
            max_corrupt_fraction=self.data.max_corrupt_fraction,
        )


def source_of(path: str | None) -> str:
    """The source that reads `path`: digits without one, npz or parquet by what is there, else a class folder."""
    if path is None:
        return "digits"
    if path.endswith(".npz"):
        return "npz"
    if path.endswith(".parquet"):
        return "parquet"
    root = place_of(path)
    folders = [folder for folder in (root, root / "data") if folder.is_dir()]
    holds = any(file.name.endswith(".parquet") for folder in folders for file in folder.iterdir())
    return "parquet" if holds else "folder"


def absolute_name(name: str) -> str:
    """A "file.py:attribute" with the file's path made absolute; any other name as it is."""
    file, colon, attribute = name.rpartition(":")
    return f"{Path(file).expanduser().absolute()}:{attribute}" if colon and file.endswith(".py") else name
