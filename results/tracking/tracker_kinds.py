"""The trackers that a search can be written to: their names in a job, and the package that each needs."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toprung.results.tracking.tracking_settings import MLFLOW, Tracking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.results.tracking.search_history import SearchFacts
    from toprung.results.tracking.tracked_runs import TrackedRuns


@dataclass(frozen=True)
class TrackerKind:
    """A tracker.

    Attributes:
        title: What it is called.
        package: The package that writes it, as it is imported.
        install: The same as pip installs it.
        runs: module:class of its `TrackedRuns`, made from a `Tracking` and the `SearchFacts`; the package is imported
            when one is made, and no earlier.
    """

    title: str
    package: str
    install: str
    runs: str

    @property
    def is_installed(self) -> bool:
        """Whether its package is there; it is not imported."""
        return importlib.util.find_spec(self.package) is not None


TRACKERS: Mapping[str, TrackerKind] = {
    MLFLOW: TrackerKind(
        "MLflow", "mlflow", "mlflow", "toprung.results.tracking.mlflow.trial_runs:MlflowRuns"
    ),
    "tensorboard": TrackerKind(
        "TensorBoard",
        "tensorboardX",
        "tensorboardX",
        "toprung.results.tracking.tensorboard.runs:TensorboardRuns",
    ),
    "wandb": TrackerKind(
        "Weights & Biases", "wandb", "wandb", "toprung.results.tracking.wandb.runs:WandbRuns"
    ),
}


def title_of(tracking: Tracking) -> str:
    """What the tracker is called."""
    return TRACKERS[tracking.tracker].title


def load(tracking: Tracking) -> None:
    """Import the tracker's package, which takes seconds."""
    _class_of(tracking).load()


def connected(tracking: Tracking, facts: SearchFacts) -> TrackedRuns:
    """The runs of a search in its tracker. Raises whatever the tracker raises."""
    made: TrackedRuns = _class_of(tracking)(tracking, facts)
    return made


def may_be_silent(tracking: Tracking) -> bool:
    """Whether something beyond this machine has to answer, which it may never do."""
    return bool(_class_of(tracking).may_be_silent(tracking))


def _class_of(tracking: Tracking) -> Any:
    module, _, name = TRACKERS[tracking.tracker].runs.partition(":")
    return getattr(importlib.import_module(module), name)
