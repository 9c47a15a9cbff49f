"""The rows of a trial as parameters, numbers and texts that every tracker takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from toprung.results.tables.rows import Row, config_of
from toprung.results.tables.schema import PREEMPTIONS, WAIT_SECS
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTCOME_TAG = "toprung.outcome"
REASON_TAG = "toprung.reason"

PARAM_CHARS, TAG_CHARS = 6000, 8000
_NOT_METRICS = {"epoch", "arrival_index", "elapsed_secs", PREEMPTIONS, WAIT_SECS}
_AT_END = {"best_epoch", "parameter_count", PREEMPTIONS}
STATUS = {
    Outcome.COMPLETED: "FINISHED",
    Outcome.STOPPED: "FINISHED",  # by the search, as it should be: the tag says that it was early
    Outcome.PREEMPTED: "KILLED",
    Outcome.TIMEOUT: "KILLED",
}
"""MLflow's words for the outcomes; the others are FAILED."""


@dataclass
class PendingTrialUpdate:
    """What a tracker does not have yet of one trial, as rows of the tables."""

    proposal: Row | None = None
    epochs: dict[int, Row] = field(default_factory=dict)
    end: Row | None = None


def typed_params_of(proposal: Row) -> dict[str, Any]:
    """A trial's seed and configuration, as they are."""
    return {"seed": proposal.get("seed"), **config_of(proposal)}


def status_of(end: Row) -> str:
    """MLflow's status of a trial that has ended."""
    return STATUS.get(Outcome(end["outcome"]), "FAILED")


def epoch_values(row: Row) -> dict[str, float]:
    """What was measured in an epoch, by name: finite numbers alone; the tables have every value."""
    return _finite({name: value for name, value in row.items() if name not in _NOT_METRICS})


def end_values(end: Row) -> dict[str, float]:
    """A trial's best value and its epoch, its parameter count, and where its seconds went."""
    return _finite(
        {
            name: value
            for name, value in end.items()
            if name in _AT_END or name.startswith("best_") or name.endswith("_secs")
        }
    )


def _finite(measured: Mapping[str, Any]) -> dict[str, float]:
    """MLflow would draw infinity as 1.8e308."""
    return {
        name: float(value)
        for name, value in measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def text_of(value: Any, most_chars: int) -> str:
    """A text that every database takes, at most so long: PostgreSQL has no NUL, UTF-8 no lone surrogates."""
    text = str(value).replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most_chars else f"{text[: most_chars - 3]}..."
