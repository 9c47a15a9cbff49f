"""The actions of a run that `toprung.results.Run` offers, found by the entry point `toprung.run_actions`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError

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
    from toprung.search.retrained.champion import champion
    from toprung.trainables.saved_model.loading import LoadedModel

    found = champion(RunFolder(root))
    if found is None:
        raise InputError.single("RUN", f"{root} has no model", "retrain it first")
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        return LoadedModel.load(found.folder.model_copy(Path(scratch)), "RUN").model
