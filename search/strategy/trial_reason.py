"""Why a trial was cut or has failed, else why it was proposed, in one line for the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.search.strategy.early_stopping.cut_reason import cut_reason
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from toprung.search.strategy.trials import TrialState
    from toprung.trainables.trial.objectives import Objectives


def trial_reason(objectives: Objectives, trial: TrialState, reduction_factor: int) -> str:
    """The line of a trial, from how far it has come."""
    if trial.outcome is Outcome.STOPPED and trial.last_decision is not None:
        return cut_reason(objectives, trial.last_decision, reduction_factor)
    if trial.outcome is not None and trial.outcome.counts_against_config:
        return f"{trial.outcome} at epoch {max(trial.epoch, 0)}; proposal: {trial.origin.reason}"
    return trial.origin.reason
