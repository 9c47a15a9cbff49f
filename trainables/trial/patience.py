"""Early stopping inside a trial: ends it after `patience_epochs` epochs without improvement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.trial.objectives import Objective
    from toprung.trainables.trial.report import EpochReport

KEY = "patience_epochs"


def patience_of(config: Mapping[str, Any]) -> int:
    """The epochs without improvement after which a trial of this configuration ends; 0 for never."""
    return int(config.get(KEY) or 0)


def patience_stop_reason(
    reports: Sequence[EpochReport], config: Mapping[str, Any], objective: Objective, min_epochs: int = 1
) -> str | None:
    """Why patience ends a trial after its newest report; None where the trial continues.

    The rule reads the reports alone, so that a worker, the driver and a resumed search decide alike. A value equal to
    the best one is no improvement.

    Args:
        reports: The trial's reports in order of their epochs, every metric finite.
        config: The trial's configuration, whose `patience_epochs` is the patience.
        objective: The metric that has to improve.
        min_epochs: No trial ends before this epoch.
    """
    patience = patience_of(config)
    if not patience or not reports or reports[-1].epoch < min_epochs:
        return None
    best = max(reports, key=lambda report: (objective.score(report.metrics[objective.metric]), -report.epoch))
    if reports[-1].epoch - best.epoch < patience:
        return None
    return f"no better {objective.metric} in {patience} epochs; the best is that of epoch {best.epoch}"
