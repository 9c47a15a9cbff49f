"""Where a search is tracked, and what a tracker is told of it beside its trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from toprung.trainables.trial.objectives import Objective

MLFLOW = "mlflow"


@dataclass(frozen=True)
class SearchDescription:
    """What a tracker shows of a search beside its trials.

    Attributes:
        metric: The name of the metric that picks the winner.
        trials: How many trials the search may try.
        settings: The settings and ranges that a run keeps for life, by name.
        job: The effective job, as a job file.
    """

    metric: str
    trials: int
    settings: Mapping[str, str]
    job: str


@dataclass(frozen=True)
class Tracking:
    """Where a search is tracked.

    Attributes:
        uri: MLflow's tracking URI, the folder of TensorBoard's event files, or the server of W&B.
        experiment: The name of MLflow's experiment, of W&B's project.
        run: The name of the search's own run.
        artifacts: Where files are put; None leaves it to the tracker.
        tags: Of the search's own run.
        identity: Tells runs of one name on a server apart; a run keeps it for life.
        search: Without it the search's own run has no description and no best value.
        tracker: One of `tracker_kinds.TRACKERS`.
    """

    uri: str
    experiment: str
    run: str
    artifacts: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    identity: str | None = None
    search: SearchDescription | None = None
    tracker: str = MLFLOW

    @property
    def objective(self) -> Objective | None:
        """The metric of the search's best value and its better direction; None without a description."""
        return Objective.named(self.search.metric) if self.search else None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` has made a dict of."""
        search = content.get("search")
        return cls(**{**content, "search": search and SearchDescription(**search)})
