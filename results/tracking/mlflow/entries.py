"""The rows of a trial as MLflow's parameters, metrics and tags, in names that every MLflow server takes."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.results.tracking.trial_entries import (
    OUTCOME_TAG,
    PARAM_CHARS,
    REASON_TAG,
    TAG_CHARS,
    end_values,
    epoch_values,
    text_of,
    typed_params_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from toprung.results.tables.rows import Row

LAST_EPOCH_TAG = "toprung.last_epoch"
NAME_CHARS = 250


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


def epoch_metrics(epochs: Iterable[Row]) -> Iterator[Any]:
    """The metrics of epochs, at the epoch's number."""
    for row in epochs:
        yield from _metrics(epoch_values(row), millis(row.get("reported_at")), int(row["epoch"]))


def end_metrics(end: Row) -> Iterator[Any]:
    """`end_values` at the trial's last epoch."""
    yield from _metrics(end_values(end), millis(end.get("ended_at")), int(end.get("last_epoch") or 0))


def _metrics(values: Mapping[str, float], at: int | None, step: int) -> Iterator[Any]:
    from mlflow.entities import Metric

    return (Metric(name_of(name), value, at or 0, step) for name, value in values.items())


def name_of(name: str) -> str:
    """A name that MLflow takes: other characters than letters, digits, blanks and `/ _ . - :` become `_`."""
    clean = re.sub(r"[^/\w.\- :]", "_", name)[:NAME_CHARS]
    is_plain_path = posixpath.normpath(clean) == clean and not clean.startswith((".", "/"))
    return clean if is_plain_path else f"_{clean.replace('/', '_')}"[:NAME_CHARS]


def millis(moment: Any) -> int | None:
    """Milliseconds since 1970, as MLflow has times."""
    return None if moment is None or pd.isna(moment) else int(moment.timestamp() * 1000)
