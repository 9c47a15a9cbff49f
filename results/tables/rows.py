"""Rows of the tables from what happened, and configurations from rows: pure, and exact both ways."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa

from toprung.results.tables.schema import CONFIG, EXTRA, SECONDS, SUGGESTED
from toprung.spaces.definition.plain_values import plain
from toprung.trainables.trial.report import EpochReport, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Row = dict[str, Any]
ERROR_TAIL_CHARS = 4000


NOT_METRICS = frozenset(
    [
        "trial_id",
        "epoch",
        "arrival_index",
        "epoch_secs",
        "elapsed_secs",
        "decision",
        "search_note",
        "reported_at",
        EXTRA,
    ]
)
"""The columns of `epochs` that are no metrics."""


class Best(NamedTuple):
    """A value and the epoch it was measured at; never one without the other."""

    value: float
    epoch: int


@dataclass(frozen=True)
class TrialFacts:
    """What is known of an ended trial beside its reports; None where it was not measured. Times are UTC.

    `overhead_secs` is, unless given, the sum of the known seconds beside the training, waiting included;
    `input_wait_secs` and `validation_secs` are parts of the training. `rss_bytes` and `device_bytes` are what its
    worker
    held, `failed_allocation_bytes` what it asked for in vain; `worker_recycled`: the worker, too large, was
    replaced after it.
    `device` to `micro_batch_size` say how it was computed; the last, in images, only where batches were cut into parts.
    """

    seed: int | None = None
    rung_epochs: int = 0
    overhead_secs: float | None = None
    worker_startup_secs: float | None = None
    build_secs: float | None = None
    compile_secs: float | None = None
    trial_setup_secs: float | None = None
    checkpoint_secs: float | None = None
    idle_secs: float | None = None
    input_wait_secs: float | None = None
    validation_secs: float | None = None
    rss_bytes: int | None = None
    device_bytes: int | None = None
    failed_allocation_bytes: int | None = None
    worker_recycled: bool | None = None
    worker_node: str | None = None
    worker_pid: int | None = None
    cpus: float | None = None
    gpus: float | None = None
    device: str | None = None
    precision: str | None = None
    xla: bool | None = None
    steps_per_call: int | None = None
    micro_batch_size: int | None = None
    parameter_count: int | None = None
    data_fingerprint: str | None = None
    checkpoint: str | None = None
    error: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None


def proposal_row(
    trial_id: str,
    config: Mapping[str, Any],
    seed: int,
    why: str = "",
    proposed_at: datetime | None = None,
    data_fingerprint: str | None = None,
    suggested: Mapping[str, Any] | None = None,
) -> Row:
    """A row of `proposals`; the number is the one in the trial id.

    `suggested` are the parameters that the configuration does not hold under their name.
    """
    head = {"trial_id": trial_id, "number": int(trial_id[1:]), "seed": seed, "proposal_reason": why}
    head["data_fingerprint"] = data_fingerprint
    beside = {f"{SUGGESTED}{name}": value for name, value in (suggested or {}).items()}
    return {**head, "proposed_at": proposed_at or datetime.now(UTC), **_prefixed(config), **beside}


def epoch_row(
    report: EpochReport,
    arrival_index: int,
    decision: str,
    reported_at: datetime | None = None,
    note: str | None = None,
) -> Row:
    """A row of `epochs`; NaN and infinite metrics are kept as they are.

    `note` is what the search found out about itself from this report, such as a rung that misleads.
    """
    head = {"trial_id": report.trial_id, "epoch": report.epoch, "arrival_index": arrival_index}
    seconds = {"epoch_secs": report.epoch_secs, "elapsed_secs": report.elapsed_secs}
    return {
        **report.metrics,
        **head,
        **seconds,
        "decision": str(decision),
        "search_note": note,
        "reported_at": reported_at or datetime.now(UTC),
    }


def trial_row(
    trial_id: str,
    config: Mapping[str, Any],
    outcome: Outcome,
    reports: Sequence[EpochReport],
    facts: TrialFacts,
    *,
    metric: str = "val_accuracy",
    mode: str = "max",
    reason: str = "",
    secondary_objectives: Iterable[str] = (),
) -> Row:
    """A row of `trials`: the best finite value with its epoch, the last value (may be NaN) with its epoch.

    The objectives `secondary_objectives` beside the metric have their value at the best epoch.

    A trial without reports has a null best and last value, last_epoch 0 and train_secs 0.
    """
    last = max(reports, key=lambda report: report.epoch, default=EpochReport(trial_id, 0))
    best = best_of(((r.metrics.get(metric), r.epoch) for r in reports), mode)
    measured = {
        f"best_{metric}": best and best.value,
        "best_epoch": best and best.epoch,
        f"last_{metric}": last.metrics.get(metric),
        "last_epoch": last.epoch,
        "train_secs": last.elapsed_secs,
    }
    at_best: Mapping[str, float] = next((r.metrics for r in reports if best and r.epoch == best.epoch), {})
    others = {name: at_best.get(name) for name in secondary_objectives}
    head = {"trial_id": trial_id, "number": int(trial_id[1:]), "outcome": str(outcome), "reason": reason}
    return {**head, **_prefixed(config), **measured, **others, **_known(facts)}


def best_of(values: Iterable[tuple[float | None, int]], mode: str) -> Best | None:
    """The best finite (value, epoch), the earliest epoch among equals; None when no value is finite."""
    sign = 1.0 if mode == "min" else -1.0
    finite = [
        Best(float(value), epoch) for value, epoch in values if value is not None and math.isfinite(value)
    ]
    return min(finite, key=lambda best: (sign * best.value, best.epoch), default=None)


def config_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration in a row of `proposals` or `trials` (a dict or a frame's row), as it was proposed.

    A parameter that the configuration did not have is absent, integers are int, booleans bool.
    """
    held = {str(name): value for name, value in row.items() if str(name).startswith(CONFIG)}
    known = {name: plain(value) for name, value in held.items() if not pd.isna(value)}
    extra = row.get(EXTRA)
    beyond = json.loads(extra) if isinstance(extra, str) else {}
    known.update({name: value for name, value in beyond.items() if name.startswith(CONFIG)})
    return {name.removeprefix(CONFIG): known[name] for name in sorted(known)}


def configs_of(frame: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The configurations of a `proposals` or `trials` frame, by trial id."""
    return {
        str(row["trial_id"]): config_of({str(k): v for k, v in row.items()})
        for row in frame.to_dict("records")
    }


def suggested_of(proposals: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """By trial id, the parameters that stand beside the configurations of a `proposals` frame, where there are any."""
    texts = zip(proposals["trial_id"], proposals[EXTRA], strict=True)
    beyond = {str(trial_id): json.loads(text) for trial_id, text in texts if isinstance(text, str)}
    return {
        trial_id: {name.removeprefix(SUGGESTED): row[name] for name in row if name.startswith(SUGGESTED)}
        for trial_id, row in beyond.items()
    }


def reports_of(epochs: pa.Table) -> list[EpochReport]:
    """The reports in the rows of `epochs`, in order of arrival, equal to those that were written.

    Taken from arrow because pandas cannot tell NaN, a trial that diverged, from null, a metric not measured.
    """
    rows = sorted(epochs.to_pylist(), key=lambda row: int(row["arrival_index"]))
    return [_report({**row, **json.loads(row[EXTRA] or "{}")}) for row in rows]


def _report(row: Row) -> EpochReport:
    metrics = {name: row[name] for name in row if name not in NOT_METRICS and row[name] is not None}
    return EpochReport(row["trial_id"], row["epoch"], metrics, row["epoch_secs"], row["elapsed_secs"])


def next_sequence(epochs: pd.DataFrame) -> int:
    """The arrival_index number of the next epoch row: one more than any in the table."""
    return 0 if epochs.empty else int(epochs["arrival_index"].max()) + 1


def rows_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """The rows as an arrow table of exactly `schema`; what a column cannot hold exactly stands in `extra`."""
    columns: dict[str, list[Any]] = {name: [None] * len(rows) for name in schema.names}
    for index, row in enumerate(rows):
        beyond: Row = {}
        for name, given in row.items():
            value = _writable(given)
            kind = schema.field(name).type if name in columns else None
            exact = kind is not None and _fits(value, kind, is_config=name.startswith(CONFIG))
            if exact:
                columns[name][index] = value
                continue
            beyond[name] = value
            if kind is not None:
                columns[name][index] = _nearest(value, kind)
        if beyond:
            columns[EXTRA][index] = json.dumps(beyond, default=str)
    arrays = [pa.array(columns[field.name], field.type, from_pandas=False) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _fits(value: Any, kind: pa.DataType, is_config: bool) -> bool:
    if value is None:
        return not is_config  # in a configuration a column's null says "no such parameter", not None
    if kind == pa.int64():
        return type(value) is int and -(2**63) <= value < 2**63
    if kind == pa.float64():
        if type(value) is int:
            # In a configuration 1 is not 1.0: it has another checkpoint, and would be proposed a second time.
            return not is_config and abs(value) <= 2**53
        return type(value) is float and not (is_config and math.isnan(value))
    if kind == pa.bool_():
        return type(value) is bool
    return isinstance(value, str if kind == pa.string() else datetime)


def _writable(given: Any) -> Any:
    value = plain(given)
    # A file name that is not UTF-8 has characters that no file holds.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _nearest(value: Any, kind: pa.DataType) -> Any:
    """What a column shows of a value that stands exactly in `extra`; None where it has nothing like it."""
    if kind == pa.string() and value is not None:
        return str(value)
    return float(value) if kind == pa.float64() and type(value) is int and abs(value) <= 2**53 else None


def _prefixed(config: Mapping[str, Any]) -> Row:
    return {f"{CONFIG}{name}": value for name, value in config.items()}


def _known(facts: TrialFacts) -> Row:
    known = {field.name: getattr(facts, field.name) for field in fields(facts)}
    parts = [known[name] for name in SECONDS if name != "overhead_secs" and known[name] is not None]
    if known["overhead_secs"] is None and parts:
        known["overhead_secs"] = sum(parts)
    if known["error"] is not None:
        known["error"] = known["error"][-ERROR_TAIL_CHARS:]
    return known
