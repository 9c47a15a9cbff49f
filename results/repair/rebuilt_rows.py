"""Rows that a damaged run has lost, from what another of its tables says of the same trials."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from toprung.results.tables.rows import Row
from toprung.results.tables.schema import CONFIG, EPOCHS, OVERFLOW, TRIALS, run_schemas
from toprung.trainables.trial.bounds import MEASURED_ON_MODEL, VIOLATION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import pyarrow as pa

REBUILT = "rebuilt from the table trials by toprung repair"
_OF_PROPOSALS = frozenset({"run", "trial_id", "number", "seed", "data_fingerprint"})


def main_metric(names: Iterable[str]) -> str | None:
    """The metric of the main objective, from the columns of `trials`; None where they do not say it."""
    known = {*names}
    best = (name.removeprefix("best_") for name in known if name.startswith("best_"))
    return next((metric for metric in sorted(best) if metric != "epoch" and f"last_{metric}" in known), None)


def rebuilt_proposal(trial: Row) -> Row:
    """The row of `proposals` of an ended trial: its configuration and seed, not why it was proposed.

    A parameter that is null in both the column and `overflow_json` is none that the trial has.
    """
    row = {name: value for name, value in trial.items() if name in _OF_PROPOSALS}
    row |= {name: value for name, value in trial.items() if name.startswith(CONFIG) and value is not None}
    exact = {
        name: value
        for name, value in json.loads(trial.get(OVERFLOW) or "{}").items()
        if name.startswith(CONFIG)
    }
    overflow = {OVERFLOW: json.dumps(exact)} if exact else {}
    return {**row, **overflow, "proposal_reason": REBUILT, "proposed_at": trial.get("started_at")}


def rebuilt_epochs(
    trials: pa.Table, known: Collection[tuple[str, int]], first_arrival_index: int
) -> list[Row]:
    """The rows of `epochs` that ended trials have lost and `trials` knows: those of the best and the last value.

    The seconds of an epoch are the trial's mean. With several objectives or bounds the last epoch is not known, since
    `trials` has all values at the best one alone.

    Args:
        trials: The table.
        known: Trial and epoch of the rows that are there.
        first_arrival_index: That of the first of the new rows, which count as arrived when their trials ended.
    """
    metric = main_metric(trials.schema.names)
    if metric is None:
        return []
    others = _other_measures(trials.schema.names, metric)
    ended = sorted(trials.to_pylist(), key=lambda row: (str(row.get("ended_at") or ""), row["trial_id"]))
    rows = [
        row
        for trial in ended
        for row in _epochs_of(trial, metric, others)
        if (row["trial_id"], row["epoch"]) not in known
    ]
    return [{**row, "arrival_index": index} for index, row in enumerate(rows, first_arrival_index)]


def _other_measures(names: Sequence[str], metric: str) -> list[str]:
    """The columns of secondary objectives and of bounded metrics: those that not every run has."""
    standard = {*run_schemas({})[TRIALS].names, f"best_{metric}", f"last_{metric}"}
    return [name for name in names if name not in standard and not name.startswith(CONFIG)]


def _epochs_of(trial: Row, metric: str, others: Sequence[str]) -> Iterator[Row]:
    at_best: dict[str, Any] = {name: trial[name] for name in others}
    of_model = {name: trial[name] for name in MEASURED_ON_MODEL if trial.get(name) is not None}
    best_epoch, last_epoch = trial.get("best_epoch") or 0, trial.get("last_epoch") or 0
    best, last = trial.get(f"best_{metric}"), trial.get(f"last_{metric}")
    if best is not None and best_epoch > 0 and None not in at_best.values():
        measured = {**of_model, **at_best, metric: best, VIOLATION: trial.get(VIOLATION)}
        yield _epoch(trial, best_epoch, max(best_epoch, last_epoch), measured)
    if last is not None and last_epoch > 0 and last_epoch != best_epoch and not others:
        yield _epoch(trial, last_epoch, last_epoch, {**of_model, metric: last})


def _epoch(trial: Row, epoch: int, last_epoch: int, measured: Row) -> Row:
    secs = (trial.get("train_secs") or 0.0) / last_epoch
    head = {"trial_id": trial["trial_id"], "run": trial.get("run"), "epoch": epoch}
    tail = {"epoch_secs": secs, "elapsed_secs": secs * epoch, "search_note": REBUILT}
    standard = dict.fromkeys(run_schemas({})[EPOCHS].names)
    return {**standard, **measured, **head, **tail, "reported_at": trial.get("ended_at")}
