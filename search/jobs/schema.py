"""One search job: the sections of a job file, each field with one sentence, its unit and its default."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from toprung.search.jobs.beside_file import with_files_beside
from toprung.search.jobs.data_section import DataSection
from toprung.search.jobs.problems import input_error
from toprung.search.jobs.resources_section import ResourcesSection
from toprung.search.jobs.search_section import SearchSection, SpaceSection
from toprung.search.jobs.section import Section, StorePath
from toprung.search.jobs.yaml_text import apply_override, read_file
from toprung.spaces.errors import InputError
from toprung.spaces.user_code.references import with_absolute_path
from toprung.trainables.data.dataset import DataSpec
from toprung.trainables.system.uris import absolute, has_secrets, join, refuse_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MLFLOW_SCHEMES = frozenset({"http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", "databricks"})
MLFLOW_CREDENTIALS = (
    "must hold no password or key: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for a server, "
    "PGPASSWORD or an option file for a database"
)


FOLDED_FINALISTS = 3
"""How many trials `data.folds` cross-validates where `retrain.confirm` does not say."""


class StorageSection(Section):
    """Where the run folder is, and which training states it keeps."""

    path: StorePath = Field(
        "runs", description="Folder, or URI such as s3://bucket/runs, that holds the run folders."
    )
    checkpoint_secs: Annotated[float, Field(gt=0)] = Field(
        30.0, description="Seconds of training after which a trial is saved between its rungs."
    )
    checkpoint_gb: Annotated[float, Field(gt=0, le=1e6)] = Field(
        20.0,
        description="GB for the states of the trials; those of the oldest ended trials are deleted first, the best "
        "trial's never.",
    )
    keep_stopped: bool = Field(False, description="Whether stopped trials keep their states too.")


class TrackingSection(Section):
    """Where a search is tracked beside its tables."""

    uri: str | None = Field(None, description="MLflow tracking URI; null for SQLite inside the run folder.")
    experiment: str = Field(
        "toprung", min_length=1, max_length=500, description="Name of the MLflow experiment."
    )
    enabled: bool = Field(True, description="Whether anything is written to MLflow.")
    also: list[Literal["tensorboard", "wandb"]] = Field(
        [],
        description="Trackers beside MLflow: tensorboard writes event files into RUN/tensorboard, wandb to Weights & "
        "Biases as its environment variables say, experiment being the project.",
    )

    @field_validator("also")
    @classmethod
    def each_once(cls, value: list[Literal["tensorboard", "wandb"]]) -> list[Literal["tensorboard", "wandb"]]:
        return list(dict.fromkeys(value))

    @field_validator("uri")
    @classmethod
    def scheme_is_known_to_mlflow(cls, value: str | None) -> str | None:
        if has_secrets(value or ""):
            raise PydanticCustomError("secret", MLFLOW_CREDENTIALS)
        scheme, separator, _ = (value or "").partition("://")
        if not separator:
            return value
        schemes = MLFLOW_SCHEMES | {plugin.name for plugin in entry_points(group="mlflow.tracking_store")}
        # A database's scheme may name its driver, as in postgresql+psycopg2.
        if scheme.partition("+")[0] not in schemes:
            raise PydanticCustomError("uri", f"must begin with {', '.join(sorted(schemes))}, or be a path")
        return value


class RetrainSection(Section):
    """How the winner is confirmed and trained again."""

    confirm: Annotated[int, Field(ge=0, le=100)] = Field(
        0,
        description="Number of the best trials to train with new seeds, whose mean picks the winner; 0 for none.",
    )
    seeds: Annotated[int, Field(ge=2, le=100)] = Field(
        3,
        description="Number of new seeds for each confirmed trial, where data.folds is 0; each trains for max_epochs.",
    )
    prefer: Literal["best", "smallest", "fastest"] = Field(
        "best",
        description="The winner among the trials within one standard error of the best: the best itself, the one with "
        "the fewest parameters, or the one with the shortest epochs.",
    )
    epochs: Annotated[int, Field(gt=0)] | None = Field(
        None,
        description="Epochs on train + validation; null for the epoch at which the smoothed validation curve is best.",
    )
    hours: Annotated[float, Field(gt=0, le=8760)] | None = Field(
        None,
        description="Hours of the retraining, for as many epochs as fit; trials count by the epochs that it can reach. "
        "Not beside epochs.",
    )
    calibrate: bool = Field(
        True,
        description="Whether a training on train alone comes first, whose validation images set how sure the model is.",
    )
    registered_name: str | None = Field(
        None, description="Name of the registered model; null for the job's name."
    )

    @model_validator(mode="after")
    def epochs_or_hours_end_it(self) -> RetrainSection:
        if self.epochs is not None and self.hours is not None:
            raise ValueError(
                f"epochs is {self.epochs} and hours {self.hours:g}, and one of them must be null"
            )
        return self

    @field_validator("registered_name")
    @classmethod
    def mlflow_takes_the_name(cls, value: str | None) -> str | None:
        is_path = value is not None and (value.strip() in ("", ".", "..") or "/" in value or ":" in value)
        if is_path or len(value or "") > 256:
            raise PydanticCustomError("name", "must be a name of up to 256 characters without / and :")
        return value


class Job(Section):
    """One validated search job, from a file, a dict or keywords. The effective copy is saved as RUN/job.yaml.

    `Job(name="digits", data="digits", search={"trials": 8})` takes what a job file says, short forms included.

    Raises:
        InputError: Every problem found: the key, what was given, what is allowed.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = Field(
        description="Name of the run folder; in a job file, the file's own name by default."
    )
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        0, description="Seed of proposals and trials, and of the splits unless data.seed is given."
    )
    data: DataSection
    space: SpaceSection = SpaceSection()
    search: SearchSection = SearchSection()
    resources: ResourcesSection = ResourcesSection()
    storage: StorageSection = StorageSection()
    tracking: TrackingSection = TrackingSection()
    retrain: RetrainSection = RetrainSection()

    def __init__(self, /, **sections: Any) -> None:
        try:
            super().__init__(**sections)
        except ValidationError as error:
            raise input_error(error, Job) from None

    @classmethod
    def from_file(cls, path: str | Path, overrides: Sequence[str] = ()) -> Job:
        """Read and validate a job file; relative paths in it are looked for beside it too (see `beside_file`).

        Args:
            path: A YAML file; its name without the suffix is the job's name where the file gives none.
            overrides: `a.b=value` texts, the value in YAML, laid over the file as by `--set`.

        Raises:
            InputError: Every problem found, with the file's name.
        """
        refuse_secrets(str(path), "JOB")  # `Path` makes one slash of two, and then no URI is recognized
        path = Path(path)
        content = read_file(path, cls.model_fields)
        for override in overrides:
            apply_override(content, override, SHORT_FORMS)
        job = cls.from_dict({"name": path.stem, **content}, str(path))
        found = with_files_beside(job.model_dump(exclude_unset=True), path.expanduser().absolute().parent)
        return cls.from_dict(found, str(path))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], where: str = "job") -> Job:
        """Validate keys and values as a job file holds them; `where` names them in the problems.

        Raises:
            InputError: Every problem found.
        """
        try:
            return cls(**{str(key): value for key, value in content.items()})
        except InputError as error:
            raise error.within(where) from None

    def overridden(self, overrides: Sequence[str]) -> Job:
        """The job with `a.b=value` texts laid over it, validated again. Raises `InputError`."""
        content = self.model_dump(mode="json", exclude_unset=True)
        for override in overrides:
            apply_override(content, override, SHORT_FORMS)
        return self.from_dict(content, "--set")

    def to_yaml(self) -> str:
        """The effective job as a job file, every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def settings(self) -> dict[str, Any]:
        """Every setting, defaults included, by its dotted key, as in search.trials."""
        return _flat(self.model_dump(mode="json"))

    @property
    def family(self) -> str:
        """The space's name as every process of this machine can look it up."""
        return with_absolute_path(self.space.name)

    @property
    def run_root(self) -> str:
        """The run folder: `storage.path`/`name`, absolute where it is local."""
        return join(absolute(self.storage.path), self.name)

    @property
    def finalists(self) -> int:
        """How many of the best trials are trained again before one of them is the winner; 0 for none."""
        return self.retrain.confirm or (FOLDED_FINALISTS if self.data.folds else 0)

    @property
    def split_seed(self) -> int:
        """The seed that draws the splits."""
        return self.seed if self.data.seed is None else self.data.seed

    def data_spec(self) -> DataSpec:
        """The data section in the form that the data layer of the trials takes."""
        return self.data.spec(self.split_seed)


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        path = f"{prefix}{key}"
        flat.update(_flat(value, f"{path}.") if isinstance(value, dict) else {path: value})
    return flat


SHORT_FORMS = {
    name: field.annotation.short_form
    for name, field in Job.model_fields.items()
    if isinstance(field.annotation, type)
    and issubclass(field.annotation, Section)
    and field.annotation.short_form
}
"""By section, the key that a bare text stands for: `data: digits` is `data: {source: digits}`."""
