"""Why a trial was cut at a rung, in one line for the tables."""

from __future__ import annotations

from toprung.search.strategy.early_stopping.asha import RungDecision
from toprung.trainables.trial.objectives import Objectives


def cut_reason(objectives: Objectives, decision: RungDecision, reduction_factor: int) -> str:
    """Why a trial was cut: its value and the lowest kept one, in the metric's own sign.

    "at rung" means the trial's first report there, "after rung" a later one. Of several objectives, the values
    are the numbers of trials that dominate it and the last one kept.
    """
    where = f"cut {'at' if decision.arrived else 'after'} rung {decision.rung}"
    top = f"(top 1/{reduction_factor} of {decision.peers})"
    is_tie = decision.score == decision.cutoff
    if objectives.secondary:
        dominators, allowed = -decision.score, -decision.cutoff
        limit = "as many as an earlier trial" if is_tie else f"more than {allowed:g}"
        trials = f"{dominators:g} trial{'' if dominators == 1 else 's'}"
        return f"{where}: dominated by {trials}, {limit} {top}"
    objective = objectives.main
    value, cutoff = _distinct(objective.value(decision.score), objective.value(decision.cutoff))
    if is_tie:
        return f"{where}: {value} = {cutoff} of an earlier trial {top}"
    return f"{where}: {value} {'<' if objective.mode == 'max' else '>'} {cutoff} {top}"


def _distinct(value: float, other: float) -> tuple[str, str]:
    """Both with four significant digits, or with as many as show that they differ."""
    pairs = [(f"{value:.{digits}g}", f"{other:.{digits}g}") for digits in range(4, 18)]
    return next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
