"""The sections `space` and `search` of a job file: what may be chosen, and how it is searched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from toprung.search.jobs.constraints import Constraints, bounds_of
from toprung.search.jobs.section import CodeReference, Section, StorePath
from toprung.trainables.trial.objectives import BETTER, VALIDATED, Objectives
from toprung.trainables.trial.trial_id import AS_MANY_AS_FIT

# The space itself refuses .inf and .nan, and says what the parameter may be.
JsonScalar = str | int | Annotated[float, Field(allow_inf_nan=True)] | bool | None
if TYPE_CHECKING:
    Metric = str
    ObjectiveName = str
else:  # pydantic reads the names of the one table
    Metric, ObjectiveName = Literal[VALIDATED], Literal[tuple(BETTER)]


class SpaceSection(Section):
    """The search space."""

    short_form: ClassVar[str] = "name"

    name: CodeReference = Field(
        "cnn", description="Name of a built-in space, or file.py:Family or module:Family of your own."
    )
    fixed: dict[str, JsonScalar] = Field({}, description="Parameters with one fixed value each.")
    ranges: dict[str, Any] = Field(
        {}, description="Parameters with a narrower range: [low, high], {low, high} or {choices: [...]}."
    )


HOURS = ("wall_clock_hours", "gpu_hours")


class Budgets(Section):
    """Limits of the search beside `trials`; the first one reached ends it."""

    epochs: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Epochs of all trials together; null for no limit."
    )
    gpu_hours: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Hours of training times the trial's share of a GPU; null for no limit."
    )
    wall_clock_hours: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Hours since the start of the command, counted anew when a run continues; null for no limit.",
    )
    target: float | None = Field(
        None, description="Value of the metric that ends the search when a trial reaches it; null for none."
    )
    plateau_trials: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Consecutive ended trials without a new best; null for no limit."
    )


class SearchSection(Section):
    """How the space is searched."""

    trials: Annotated[int, Field(gt=0, le=AS_MANY_AS_FIT)] = Field(
        32,
        description="Number of configurations to try; left out where budgets names hours, as many as fit into them.",
    )
    max_epochs: Annotated[int, Field(gt=0, le=100_000)] = Field(
        27,
        description="Epochs of a full training; left out where budgets names hours, as many as the hours pay for.",
    )
    reduction_factor: Annotated[int, Field(ge=2, le=100)] = Field(
        3, description="One trial in this many continues past each rung."
    )
    min_epochs: Annotated[int, Field(gt=0)] = Field(
        1,
        description="Epoch of the first rung; no trial is stopped before it. Left out in the space transfer, after the "
        "head and a third of the tuning.",
    )
    sampler: CodeReference = Field(
        "stacked",
        description="stacked (toprung's own, learns from every rung), tpe, cmaes, random, qmc, gp (needs torch), "
        "or a reference such as file.py:function.",
    )
    metric: Metric = Field("val_accuracy", description="The validation metric that picks the winner.")
    objectives: list[ObjectiveName] = Field(
        [],
        description="The metric and the objectives to trade it off against, such as latency_ms; empty for the metric "
        "alone.",
    )
    constraints: Constraints = Field(
        {},
        description="Bounds that the winner has to keep, min or max or both for each metric, such as "
        "latency_ms: {max: 5}.",
    )
    variant: Literal["stop", "promote"] = Field(
        "stop",
        description="stop: weak trials end at a rung; promote: all trials pause at a rung, strong ones continue.",
    )
    initial_configs: list[dict[str, JsonScalar]] | None = Field(
        None,
        description="Configurations to try first, missing parameters sampled; null for the space's own first one, "
        "[] for none.",
    )
    warm_start: list[StorePath] = Field(
        [], description="Folders of earlier runs of this or a similar space to learn from."
    )
    budgets: Budgets = Budgets()

    @model_validator(mode="before")
    @classmethod
    def hours_decide_where_trials_is_left_out(cls, given: Any) -> Any:
        budgets = given.get("budgets") if isinstance(given, dict) else None
        is_timed = isinstance(budgets, dict) and any(budgets.get(name) is not None for name in HOURS)
        return {"trials": AS_MANY_AS_FIT, **given} if is_timed else given

    @model_validator(mode="after")
    def objectives_include_the_metric(self) -> SearchSection:
        if not self.objectives:
            return self
        if self.metric not in self.objectives or len(set(self.objectives)) < max(2, len(self.objectives)):
            given = ", ".join(self.objectives)
            raise ValueError(
                f"objectives is [{given}], and must hold {self.metric} and at least one other, each once"
            )
        return self

    @model_validator(mode="after")
    def target_can_be_reached(self) -> SearchSection:
        target = self.budgets.target
        if target is not None and (target < 0 or (target > 1 and self.metric != "val_loss")):
            lies = "is never below 0" if self.metric == "val_loss" else "lies from 0 to 1"
            raise ValueError(f"budgets.target is {target:g}, and {self.metric} {lies}")
        return self

    @model_validator(mode="after")
    def first_rung_is_within_the_training(self) -> SearchSection:
        if self.min_epochs > self.max_epochs:
            raise ValueError(f"min_epochs is {self.min_epochs}, and max_epochs {self.max_epochs} is less")
        return self

    @property
    def is_ended_by_hours(self) -> bool:
        """Whether as many trials are tried as fit into the budget."""
        return self.trials >= AS_MANY_AS_FIT

    @property
    def leaves_epochs_open(self) -> bool:
        """Whether `max_epochs` follows from a budget of time and the seconds of an epoch."""
        is_timed = any(getattr(self.budgets, name) is not None for name in HOURS)
        return is_timed and "max_epochs" not in self.model_fields_set

    @property
    def optimized(self) -> Objectives:
        """The metric, which picks the winner, then the other objectives; and the bounds that the winner keeps."""
        others = (name for name in self.objectives if name != self.metric)
        return Objectives.named((self.metric, *others), bounds_of(self.constraints))
