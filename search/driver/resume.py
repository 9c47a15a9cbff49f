"""What an earlier driver of the same run left behind, rebuilt from its tables alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from toprung.results.tables.rows import configs_of
from toprung.search.driver.budgets import BudgetUsage
from toprung.search.driver.trial_state import ActiveTrial, ResumedState
from toprung.search.runs.trial_records import outcomes_of, records_of
from toprung.search.strategy.strategy import Strategy
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.report import EpochReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def resume(
    strategy: Strategy,
    proposals: pd.DataFrame,
    reports: Sequence[EpochReport],
    trials: pd.DataFrame,
    *,
    metric: str,
    mode: str,
    gpus: float | None = None,
) -> ResumedState:
    """Replay the tables into `strategy` and say what is left to do.

    Reports go in in the order in which the first driver saw them, so that every decision is taken again
    as it was. A trial whose reports had decided its end before the kill stays `unfinished` too: it begins with the
    report of its checkpoint, which ends it without another epoch. `gpus` is what a trial is given from now on (None:
    what the last one to end was), and is taken to be what those that have not ended were given.
    """
    last_gpus = float(trials.sort_values("ended_at")["gpus"].fillna(0.0).iloc[-1]) if len(trials) else 0.0
    starts = _starts(proposals)
    outcomes = outcomes_of(trials)
    settled = strategy.replay(reports, records_of(proposals, trials))
    by_trial: defaultdict[str, list[EpochReport]] = defaultdict(list)
    for report in reports:
        by_trial[report.trial_id].append(report)
    leader = _leader(reports, metric, mode)
    ended = [*outcomes, *settled]
    left = [name for name in sorted(starts) if name not in outcomes]
    return ResumedState(
        unfinished=[ActiveTrial(starts[name], _by_epoch(by_trial[name])) for name in left],
        settled=settled,
        started_at=dict(zip(proposals["trial_id"], proposals["proposed_at"], strict=True)),
        spent=_spent(reports, trials, ended, leader, last_gpus if gpus is None else gpus),
        sequence=len(reports),
        outcomes=Counter(outcomes.values()),
        leader=leader,
        gpus=last_gpus,
    )


def _starts(proposals: pd.DataFrame) -> dict[str, TrialStart]:
    configs = configs_of(proposals)
    seeds = dict(zip(proposals["trial_id"], proposals["seed"], strict=True))
    return {
        name: TrialStart(name, int(name[1:]), int(seeds[name]), config) for name, config in configs.items()
    }


def _by_epoch(reports: list[EpochReport]) -> list[EpochReport]:
    return sorted(reports, key=lambda report: report.epoch)


def _leader(reports: Sequence[EpochReport], metric: str, mode: str) -> tuple[str, int, float] | None:
    """Trial id, epoch and value of the best finite report; the earliest to arrive among equals."""
    sign = 1 if mode == "max" else -1
    finite = [report for report in reports if report.is_finite and metric in report.metrics]
    best = max(finite, key=lambda report: sign * report.metrics[metric], default=None)
    return (best.trial_id, best.epoch, best.metrics[metric]) if best else None


def _spent(
    reports: Sequence[EpochReport],
    trials: pd.DataFrame,
    ended: Sequence[str],
    leader: tuple[str, int, float] | None,
    open_gpus: float,
) -> BudgetUsage:
    """What the earlier drivers used; a trial ended since the best if its last report came after the best one.

    One without a report, as memory may run out before the first, counts where it began after the best trial.
    """
    gpus = dict(zip(trials["trial_id"], trials["gpus"].fillna(0.0), strict=True))
    gpu_secs = sum(report.epoch_secs * float(gpus.get(report.trial_id, open_gpus)) for report in reports)
    if leader is None:
        return BudgetUsage(len(reports), gpu_secs / 3600, trials_since_best=len(ended))
    arrived = {(report.trial_id, report.epoch): place for place, report in enumerate(reports)}
    last = {report.trial_id: place for place, report in enumerate(reports)}
    after = arrived[leader[:2]]
    since = sum(
        last[name] > after if name in last else int(name[1:]) > int(leader[0][1:])
        for name in ended
        if name != leader[0]
    )
    return BudgetUsage(len(reports), gpu_secs / 3600, 0.0, leader[2], since)
