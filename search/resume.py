"""What an earlier driver of the same run left behind, rebuilt from its tables alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from results.rows import configs_of, next_sequence
from results.schema import METRICS
from search.budget import Spent
from search.loop import OpenTrial
from search.strategy import Strategy, TrialRecord
from trainables.report import EpochReport, Outcome
from trainables.trial_run import TrialStart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pandas as pd

_NOT_METRICS = {
    "trial_id",
    "epoch",
    "sequence",
    "epoch_secs",
    "elapsed_secs",
    "decision",
    "reported_at",
    "extra",
}


@dataclass(frozen=True)
class Resumed:
    """The state to go on from; empty for a new run."""

    unfinished: list[OpenTrial] = field(default_factory=list)
    settled: dict[str, Outcome] = field(default_factory=dict)
    started_at: dict[str, datetime] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    sequence: int = 0
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    leader: tuple[str, int, float] | None = None
    fingerprint: str | None = None


def resume(
    strategy: Strategy,
    proposals: pd.DataFrame,
    epochs: pd.DataFrame,
    trials: pd.DataFrame,
    *,
    metric: str,
    mode: str,
) -> Resumed:
    """Replay the tables into `strategy` and say what is left to do.

    Reports go in by `sequence`, the order in which the first driver saw them, so that every decision is taken again
    as it was. A trial whose reports had decided its end before the kill stays `unfinished` too: it begins with the
    report of its checkpoint, which ends it without another epoch.
    """
    starts = _starts(proposals)
    outcomes = dict(zip(trials["trial_id"], map(Outcome, trials["outcome"]), strict=True))
    reports = reports_of(epochs)
    records = [TrialRecord(name, start.config, outcomes.get(name)) for name, start in starts.items()]
    settled = strategy.replay(reports, records)
    by_trial: defaultdict[str, list[EpochReport]] = defaultdict(list)
    for report in reports:
        by_trial[report.trial_id].append(report)
    leader = _leader(reports, metric, mode)
    left = [name for name in sorted(starts) if name not in outcomes]
    return Resumed(
        unfinished=[OpenTrial(starts[name], _by_epoch(by_trial[name])) for name in left],
        settled=settled,
        started_at=dict(zip(proposals["trial_id"], proposals["proposed_at"], strict=True)),
        spent=_spent(reports, trials, leader),
        sequence=next_sequence(epochs),
        outcomes=Counter(outcomes.values()),
        leader=leader,
        fingerprint=_only(trials, "data_fingerprint"),
    )


def reports_of(epochs: pd.DataFrame) -> list[EpochReport]:
    """The rows of `epochs` as reports in order of arrival; a metric that was not measured is absent."""
    metrics = [name for name in epochs.columns if name in METRICS or name not in _NOT_METRICS]
    rows: list[Mapping[str, Any]] = epochs.sort_values("sequence").to_dict("records")  # type: ignore[assignment]
    return [
        EpochReport(
            trial_id=str(row["trial_id"]),
            epoch=int(row["epoch"]),
            metrics={name: float(row[name]) for name in metrics if row[name] is not None},
            epoch_secs=float(row["epoch_secs"]),
            elapsed_secs=float(row["elapsed_secs"]),
        )
        for row in rows
    ]


def _starts(proposals: pd.DataFrame) -> dict[str, TrialStart]:
    configs = configs_of(proposals)
    seeds = dict(zip(proposals["trial_id"], proposals["seed"], strict=True))
    return {
        name: TrialStart(name, int(name[1:]), int(seeds[name]), config) for name, config in configs.items()
    }


def _by_epoch(reports: list[EpochReport]) -> list[EpochReport]:
    return sorted(reports, key=lambda report: report.epoch)


def _leader(reports: list[EpochReport], metric: str, mode: str) -> tuple[str, int, float] | None:
    """Trial id, epoch and value of the best finite report; the earliest to arrive among equals."""
    sign = 1 if mode == "max" else -1
    finite = [report for report in reports if report.is_finite and metric in report.metrics]
    best = max(finite, key=lambda report: sign * report.metrics[metric], default=None)
    return (best.trial_id, best.epoch, best.metrics[metric]) if best else None


def _spent(reports: list[EpochReport], trials: pd.DataFrame, leader: tuple[str, int, float] | None) -> Spent:
    gpus = dict(zip(trials["trial_id"], trials["gpus"], strict=True))
    gpu_secs = sum(report.epoch_secs * float(gpus.get(report.trial_id) or 0.0) for report in reports)
    if leader is None:
        return Spent(len(reports), gpu_secs / 3600, trials_since_best=len(trials))
    since = int((trials["number"].astype("int64") > int(leader[0][1:])).sum())
    return Spent(len(reports), gpu_secs / 3600, 0.0, leader[2], since)


def _only(trials: pd.DataFrame, column: str) -> str | None:
    values = trials[column].dropna()
    return str(values.iloc[0]) if len(values) else None
