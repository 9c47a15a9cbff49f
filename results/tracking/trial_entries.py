"""The rows of a trial as parameters, metrics and tags: names and texts that every tracker and MLflow server takes."""

from __future__ import annotations

import math
import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.results.tables.rows import Row, config_of
from toprung.results.tables.schema import PREEMPTIONS, WAIT_SECS
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OUTCOME_TAG = "toprung.outcome"
REASON_TAG = "toprung.reason"
LAST_EPOCH_TAG = "toprung.last_epoch"

NAME_CHARS, PARAM_CHARS, TAG_CHARS = 250, 6000, 8000
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


def params_of(proposal: Row | None) -> dict[str, str]:
    """A trial's seed and configuration as texts."""
    config = {} if proposal is None else typed_params_of(proposal)
    return {name_of(name): text_of(value, PARAM_CHARS) for name, value in config.items()}


def end_tags(end: Row, last_epoch: int) -> dict[str, str]:
    """How a trial ended, and why."""
    return {
        OUTCOME_TAG: str(end["outcome"]),
        REASON_TAG: text_of(end.get("reason") or "", TAG_CHARS),
        LAST_EPOCH_TAG: str(last_epoch),
    }


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


def epoch_metrics(epochs: Iterable[Row]) -> Iterator[Any]:
    """The metrics of epochs, at the epoch's number."""
    for row in epochs:
        yield from _metrics(epoch_values(row), millis(row.get("reported_at")), int(row["epoch"]))


def end_metrics(end: Row) -> Iterator[Any]:
    """`end_values` at the trial's last epoch."""
    yield from _metrics(end_values(end), millis(end.get("ended_at")), int(end.get("last_epoch") or 0))


def _finite(measured: Mapping[str, Any]) -> dict[str, float]:
    """MLflow would draw infinity as 1.8e308."""
    return {
        name: float(value)
        for name, value in measured.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }


def _metrics(values: Mapping[str, float], at: int | None, step: int) -> Iterator[Any]:
    from mlflow.entities import Metric

    return (Metric(name_of(name), value, at or 0, step) for name, value in values.items())


def name_of(name: str) -> str:
    """A name that MLflow takes: other characters than letters, digits, blanks and `/ _ . - :` become `_`."""
    clean = re.sub(r"[^/\w.\- :]", "_", name)[:NAME_CHARS]
    is_plain_path = posixpath.normpath(clean) == clean and not clean.startswith((".", "/"))
    return clean if is_plain_path else f"_{clean.replace('/', '_')}"[:NAME_CHARS]


def text_of(value: Any, most_chars: int) -> str:
    """A text that every database takes, at most so long: PostgreSQL has no NUL, UTF-8 no lone surrogates."""
    text = str(value).replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= most_chars else f"{text[: most_chars - 3]}..."


def millis(moment: Any) -> int | None:
    """Milliseconds since 1970, as MLflow has times."""
    return None if moment is None or pd.isna(moment) else int(moment.timestamp() * 1000)
