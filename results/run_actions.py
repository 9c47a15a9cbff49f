"""What a run can do beside being read: its job, a retraining, its model. The search provides it as a plug-in.

`results` may not import `search`, so `RunActions` is found by the entry point that pyproject.toml declares, as the
plug-ins of other packages are.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.trial.objectives import Objectives

GROUP = "toprung.run_actions"


class SearchSettings(Protocol):
    """The section `search` of a job."""

    @property
    def optimized(self) -> Objectives:
        """The objectives; the first one picks the winner."""


class RunJob(Protocol):
    """The job of a run; a `toprung.search.Job` is one."""

    @property
    def name(self) -> str:
        """The name of the run."""

    @property
    def search(self) -> SearchSettings:
        """How the space is searched."""

    def overridden(self, overrides: Sequence[str]) -> Self:
        """The job with `a.b=value` texts laid over it."""

    def to_yaml(self) -> str:
        """The job as a job file."""


class RunActions(Protocol):
    """The module that provides the actions; `root` is the folder or URI of a run."""

    def job(self, root: str) -> RunJob:
        """The job of the run. Raises `InputError` where there is no run."""

    def retrain(
        self, root: str, overrides: Sequence[str], trial_id: str | None, address: str | None, promote: bool
    ) -> Mapping[str, Any]:
        """Retrain the winner and return the report."""

    def model(self, root: str) -> Any:
        """The Keras model of the champion. Raises `InputError` where there is none."""


def run_actions() -> RunActions:
    """The actions that the installed search provides.

    Raises:
        RuntimeError: toprung was installed before it had this entry point.
    """
    for entry_point in entry_points(group=GROUP):
        actions: RunActions = entry_point.load()
        return actions
    raise RuntimeError(f"no package provides {GROUP}; install toprung again")
