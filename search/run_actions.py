"""The actions of a run that `toprung.results.Run` offers, found by the entry point `toprung.run_actions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from toprung.search.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.search.jobs.schema import Job


def job(root: str) -> Job:
    """The job of the run at a folder or URI. Raises `InputError` where there is no run."""
    return RunFolder(root).job()


def retrain(
    root: str, overrides: Sequence[str], trial_id: str | None, address: str | None, promote: bool
) -> Mapping[str, Any]:
    """Retrain the winner and return the report; see `retrain_winner`."""
    from toprung.search.winner.retrain import retrain_winner

    return retrain_winner(RunFolder(root), overrides, trial_id, address, promote).report


def model(root: str) -> Any:
    """The Keras model of the champion. Raises `InputError` where there is none."""
    from toprung.search.retrained.find_model import found_model
    from toprung.trainables.saved_model.loading import LoadedModel

    with found_model(root) as found:
        return LoadedModel.load(found.path, "RUN").model
