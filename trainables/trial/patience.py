"""Early stopping by a trial's own curve: it ends when it has not become better for as long as it was to be waited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.trial.report import EpochReport

KEY = "patience_epochs"


def patience_of(config: Mapping[str, Any]) -> int:
    """After how many epochs without a better value a trial of this configuration ends; 0 for never."""
    return int(config.get(KEY) or 0)


def patience_stop_reason(
    reports: Sequence[EpochReport], config: Mapping[str, Any], metric: str, mode: str, min_epochs: int = 1
) -> str | None:
    """Why a trial with these finite reports, in order, is to end; None when it is to go on, as before `min_epochs`.

    A function of the reports alone, so that a search that goes on after a kill decides alike.
    """
    patience = patience_of(config)
    if not patience or not reports or reports[-1].epoch < min_epochs:
        return None
    sign = 1.0 if mode == "max" else -1.0
    best = max(reports, key=lambda report: (sign * report.metrics[metric], -report.epoch))
    if reports[-1].epoch - best.epoch < patience:
        return None
    return f"no better {metric} in {patience} epochs; the best is that of epoch {best.epoch}"
