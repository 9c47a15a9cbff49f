"""Rows of the tables from what happened, and configurations and reports from rows: pure, and exact both ways."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa

from toprung.results.tables.schema import (
    CONFIG,
    OVERFLOW,
    PREEMPTIONS,
    RUN,
    SUGGESTED,
    VAL_ACCURACY,
    WAIT_SECS,
)
from toprung.results.tables.trial_details import BESIDE_TRAINING, TrialDetails
from toprung.spaces.definition.plain_values import plain
from toprung.trainables.trial.bounds import MEASURED_ON_MODEL, VIOLATION
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from toprung.trainables.trial.bounds import Bounds
    from toprung.trainables.trial.objectives import Objective, Objectives

Row = dict[str, Any]
ERROR_TAIL_CHARS = 4000

NOT_METRICS = frozenset(
    [
        RUN,
        "trial_id",
        "epoch",
        "arrival_index",
        "epoch_secs",
        "elapsed_secs",
        VIOLATION,
        "decision",
        "search_note",
        PREEMPTIONS,
        WAIT_SECS,
        "reported_at",
        OVERFLOW,
    ]
)
"""The columns of `epochs` that are no metrics."""


class Inactive(NamedTuple):
    """A value of a configuration that was not chosen: its parameter is searched in other trials, not in this one.

    Its column is null, as that of a parameter that the trial does not have; the value stands in `overflow_json`.
    """

    value: Any


class EpochValue(NamedTuple):
    """A value and the epoch it was measured at; never one without the other."""

    value: float
    epoch: int


def proposal_row(
    trial_id: str,
    config: Mapping[str, Any],
    seed: int,
    reason: str = "",
    proposed_at: datetime | None = None,
    data_fingerprint: str | None = None,
    suggested: Mapping[str, Any] | None = None,
) -> Row:
    """A row of `proposals`; the number is the one in the trial id.

    `reason` says where the configuration came from; `suggested` are the parameters that the configuration does not
    hold under their name.
    """
    head = {"trial_id": trial_id, "number": int(trial_id[1:]), "seed": seed, "proposal_reason": reason}
    origin = {"proposed_at": proposed_at or datetime.now(UTC), "data_fingerprint": data_fingerprint}
    overflow = {f"{SUGGESTED}{name}": value for name, value in (suggested or {}).items()}
    return {**head, **origin, **_config_columns(config), **overflow}


def epoch_row(
    report: EpochReport,
    arrival_index: int,
    decision: str,
    reported_at: datetime | None = None,
    note: str | None = None,
    bounds: Bounds | None = None,
) -> Row:
    """A row of `epochs`; NaN and infinite metrics are kept as they are.

    `note` is what the search found out about itself from this report, such as a rung that misleads; `bounds` are those
    that the report may break.
    """
    head = {"trial_id": report.trial_id, "epoch": report.epoch, "arrival_index": arrival_index}
    seconds = {"epoch_secs": report.epoch_secs, "elapsed_secs": report.elapsed_secs}
    violation = bounds.violation(report.metrics) if bounds else None
    search = {VIOLATION: violation, "decision": str(decision), "search_note": note}
    return {**report.metrics, **head, **seconds, **search, "reported_at": reported_at or datetime.now(UTC)}


def trial_row(
    trial_id: str,
    config: Mapping[str, Any],
    outcome: Outcome,
    reports: Sequence[EpochReport],
    details: TrialDetails,
    *,
    objectives: Objectives = VAL_ACCURACY,
    reason: str = "",
) -> Row:
    """A row of `trials`: of the main objective the best finite value and the last value (may be NaN), with epochs.

    The best is that of the epochs which are least beyond the bounds; the other objectives and the bounded metrics have
    their values at its epoch. A trial without reports has a null best and last value, last_epoch 0 and train_secs 0.
    """
    metric, bounds = objectives.main.metric, objectives.bounds
    last = max(reports, key=lambda report: report.epoch, default=EpochReport(trial_id, 0))
    best = best_of(
        ((report.metrics.get(metric), report.epoch) for report in _least_beyond(reports, bounds)),
        objectives.main,
    )
    measured = {
        f"best_{metric}": best and best.value,
        "best_epoch": best and best.epoch,
        f"last_{metric}": last.metrics.get(metric),
        "last_epoch": last.epoch,
        "train_secs": last.elapsed_secs,
    }
    at_best: Mapping[str, float] = next((r.metrics for r in reports if best and r.epoch == best.epoch), {})
    others = {name: at_best.get(name) for name in objectives.measured if name != metric}
    known = {name: value for name, value in _detail_columns(details).items() if value is not None}
    columns = {**_detail_columns(TrialDetails()), **others, **known}
    of_model = {name: known[name] for name in MEASURED_ON_MODEL if name in known}
    violation = bounds.violation({**of_model, **at_best}) if bounds else None
    head = {"trial_id": trial_id, "number": int(trial_id[1:]), "outcome": str(outcome), "reason": reason}
    return {**head, **_config_columns(config), **measured, **columns, VIOLATION: violation}


def _least_beyond(reports: Sequence[EpochReport], bounds: Bounds) -> list[EpochReport]:
    """The finite reports that are least beyond the bounds: all of them where there are no bounds."""
    violations = {report.epoch: bounds.violation(report.metrics) for report in reports}
    least = min((one for one in violations.values() if not math.isnan(one)), default=math.nan)
    return [report for report in reports if violations[report.epoch] == least]


def best_of(values: Iterable[tuple[float | None, int]], objective: Objective) -> EpochValue | None:
    """The best finite (value, epoch), the earliest epoch among equals; None when no value is finite."""
    finite = [
        EpochValue(float(value), epoch)
        for value, epoch in values
        if value is not None and math.isfinite(value)
    ]
    return max(finite, key=lambda one: (objective.score(one.value), -one.epoch), default=None)


def marked_inactive(config: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The configuration with the values of these parameters as `Inactive`, for a row."""
    return {**config, **{name: Inactive(config[name]) for name in names if name in config}}


def config_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in a row of `proposals` or `trials` (a dict or a frame's row), as it was proposed.

    A parameter that the configuration did not have is absent, integers are int, booleans bool.
    """
    columns = {str(name): value for name, value in row.items() if str(name).startswith(CONFIG)}
    config = {name: plain(value) for name, value in columns.items() if not pd.isna(value)}
    overflow = row.get(OVERFLOW)
    exact = json.loads(overflow) if isinstance(overflow, str) else {}
    config.update({name: value for name, value in exact.items() if name.startswith(CONFIG)})
    return {name.removeprefix(CONFIG): config[name] for name in sorted(config)}


def configs_of(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The configurations of a `proposals` or `trials` frame, by trial id."""
    return {
        str(row["trial_id"]): config_of({str(k): v for k, v in row.items()})
        for row in frame.to_dict("records")
    }


def suggested_of(proposals: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By trial id, the parameters of `proposals` that are not in the configurations, where there are any."""
    texts = zip(proposals["trial_id"], proposals[OVERFLOW], strict=True)
    overflow = {str(trial_id): json.loads(text) for trial_id, text in texts if isinstance(text, str)}
    return {
        trial_id: {name.removeprefix(SUGGESTED): row[name] for name in row if name.startswith(SUGGESTED)}
        for trial_id, row in overflow.items()
    }


def reports_of(epochs: pa.Table) -> list[EpochReport]:
    """The reports in the rows of `epochs`, in order of arrival, equal to those that were written.

    Taken from arrow because pandas cannot tell NaN, a trial that diverged, from null, a metric not measured.
    """
    rows = sorted(epochs.to_pylist(), key=lambda row: int(row["arrival_index"]))
    return [_report({**row, **json.loads(row[OVERFLOW] or "{}")}) for row in rows]


def _report(row: Row) -> EpochReport:
    metrics = {name: row[name] for name in row if name not in NOT_METRICS and row[name] is not None}
    return EpochReport(row["trial_id"], row["epoch"], metrics, row["epoch_secs"], row["elapsed_secs"])


def rows_table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """The rows as an arrow table of exactly `schema`; what a column cannot hold exactly stands in `overflow_json`."""
    types = {field.name: field.type for field in schema}
    columns: dict[str, list[Any]] = {name: [] for name in types}
    for row in rows:
        cells = _cells(row, types)
        for name, column in columns.items():
            column.append(cells.get(name))
    arrays = [pa.array(columns[field.name], field.type, from_pandas=False) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _cells(row: Row, types: Mapping[str, pa.DataType]) -> Row:
    """The values of a row by column; those that their column does not hold exactly stand in `overflow_json` too."""
    cells: Row = {}
    overflow: Row = {}
    for name, given in row.items():
        if isinstance(given, Inactive):
            overflow[name] = _writable(given.value)
            continue
        value = _writable(given)
        column = types.get(name)
        if column is not None and _fits(value, column, is_config=name.startswith(CONFIG)):
            cells[name] = value
            continue
        overflow[name] = value
        if column is not None:
            cells[name] = _nearest(value, column)
    if overflow:
        cells[OVERFLOW] = json.dumps(overflow, default=str)
    return cells


def _fits(value: Any, column: pa.DataType, is_config: bool) -> bool:
    if value is None:
        return not is_config  # in a configuration a column's null says "no such parameter", not None
    if column == pa.int64():
        return type(value) is int and -(2**63) <= value < 2**63
    if column == pa.float64():
        if type(value) is int:
            # In a configuration 1 is not 1.0: it has another checkpoint, and would be proposed a second time.
            return not is_config and abs(value) <= 2**53
        return type(value) is float and not (is_config and math.isnan(value))
    if column == pa.bool_():
        return type(value) is bool
    return isinstance(value, str if column == pa.string() else datetime)


def _writable(given: Any) -> Any:
    value = plain(given)
    # A file name that is not UTF-8 has characters that no file holds.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _nearest(value: Any, column: pa.DataType) -> Any:
    """What a column shows of a value that stands exactly in `overflow_json`; None where it has nothing like it."""
    if column == pa.string() and value is not None:
        return str(value)
    return float(value) if column == pa.float64() and type(value) is int and abs(value) <= 2**53 else None


def _config_columns(config: Mapping[str, Any]) -> Row:
    return {f"{CONFIG}{name}": value for name, value in config.items()}


def _detail_columns(details: TrialDetails) -> Row:
    columns = {field.name: getattr(details, field.name) for field in fields(details)}
    beside = [columns[name] for name in BESIDE_TRAINING if columns[name] is not None]
    if columns["overhead_secs"] is None and beside:
        columns["overhead_secs"] = sum(beside)
    if columns["error"] is not None:
        columns["error"] = columns["error"][-ERROR_TAIL_CHARS:]
    return columns
