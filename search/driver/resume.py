"""Rebuilds the state of a search from the tables that earlier drivers of the same run left."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

from toprung.results.tables.parts import read_reports, read_table, read_tables
from toprung.results.tables.rows import configs_of
from toprung.results.tables.schema import PREEMPTIONS, RUNGS, WAIT_SECS
from toprung.search.loop.budgets import BudgetUsage
from toprung.search.loop.trial_state import ActiveTrial, Leader, ResumedState, RungKey
from toprung.search.runs.trial_records import outcomes_of, records_of
from toprung.search.strategy.strategy import Strategy
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.report import EpochReport
from toprung.trainables.trial.trial_id import number_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from toprung.trainables.system.storage import Root
    from toprung.trainables.trial.bounds import Bounds
    from toprung.trainables.trial.objectives import Objective


class Interruptions(NamedTuple):
    """How often a node died under a trial, and for how long it waited for another worker."""

    preemptions: int = 0
    wait_secs: float = 0.0


@dataclass(frozen=True)
class RecordedSearch:
    """The tables of a run.

    Attributes:
        proposals: The table of this name.
        reports: Those of `epochs`, in the order in which they arrived.
        trials: The table of this name.
        next_arrival_index: Above that of every report; more than their number where reports were lost.
        rungs: The decisions in the table of this name.
        interruptions: By trial, what its last epoch says of how often it lost its worker.
    """

    proposals: pd.DataFrame
    reports: Sequence[EpochReport]
    trials: pd.DataFrame
    next_arrival_index: int = 0
    rungs: frozenset[RungKey] = frozenset()
    interruptions: Mapping[str, Interruptions] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Root) -> Self:
        """The tables in a run folder, empty where there are none yet. Raises what `read_tables` raises."""
        proposals, epochs, trials = read_tables(root)
        next_arrival_index = int(epochs["arrival_index"].max()) + 1 if len(epochs) else 0
        rungs = read_table(root, RUNGS)[["trial_id", "rung_epoch", "epoch", "decision"]]
        keys = frozenset(map(tuple, rungs.to_numpy().tolist()))
        return cls(proposals, read_reports(root), trials, next_arrival_index, keys, _interruptions(epochs))


def resume(
    strategy: Strategy, recorded: RecordedSearch, objective: Objective, gpus: float | None = None
) -> ResumedState:
    """Replay the tables into `strategy` and return what is left to do.

    Reports are replayed in the order in which they arrived, so that every decision is taken again as it was. A trial
    whose reports had decided its end before the driver died is among the unfinished too, see `ResumedState`.

    Args:
        strategy: New, with nothing reported to it.
        recorded: The run's tables.
        objective: Picks the leader.
        gpus: The share of a GPU that a trial has from now on, by which trials that have not ended are counted too.
            None takes that of the last trial to end.
    """
    trials, reports = recorded.trials, recorded.reports
    last_gpus = float(trials.sort_values("ended_at")["gpus"].fillna(0.0).iloc[-1]) if len(trials) else 0.0
    starts = _starts(recorded.proposals)
    outcomes = outcomes_of(trials)
    already_decided = strategy.replay(reports, records_of(recorded.proposals, trials))
    leader = _leader(reports, objective, strategy.objectives.bounds)
    epochs, gpu_hours = len(reports), _gpu_hours(recorded, last_gpus if gpus is None else gpus)
    best = math.nan if leader is None else leader.value
    since_best = _trials_since_best(reports, [*outcomes, *already_decided], leader)
    reports_of = _reports_by_trial(reports)
    unfinished = [
        ActiveTrial(
            starts[name], reports_of[name], **recorded.interruptions.get(name, Interruptions())._asdict()
        )
        for name in sorted(starts)
        if name not in outcomes
    ]
    return ResumedState(
        unfinished=unfinished,
        already_decided=already_decided,
        started_at=dict(zip(recorded.proposals["trial_id"], recorded.proposals["proposed_at"], strict=True)),
        usage=BudgetUsage(epochs, gpu_hours, 0.0, best, since_best),
        next_arrival_index=max(len(reports), recorded.next_arrival_index),
        outcomes=Counter(outcomes.values()),
        leader=leader,
        gpus=last_gpus,
        workers=1 + int(trials["worker_index"].max()) if trials["worker_index"].notna().any() else 0,
        preemptions=int(trials[PREEMPTIONS].sum()) + sum(trial.preemptions for trial in unfinished),
        recorded_rungs=recorded.rungs,
    )


def _starts(proposals: pd.DataFrame) -> dict[str, TrialStart]:
    configs = configs_of(proposals)
    seeds = dict(zip(proposals["trial_id"], proposals["seed"], strict=True))
    return {
        name: TrialStart(name, number_of(name), int(seeds[name]), config) for name, config in configs.items()
    }


def _interruptions(epochs: pd.DataFrame) -> dict[str, Interruptions]:
    """What the last epoch of each trial says; tables of earlier versions say nothing."""
    if PREEMPTIONS not in epochs:
        return {}
    most = epochs.groupby("trial_id")[[PREEMPTIONS, WAIT_SECS]].max().dropna()
    counted = zip(most.index, most[PREEMPTIONS], most[WAIT_SECS], strict=True)
    return {str(name): Interruptions(int(count), float(secs)) for name, count, secs in counted}


def _reports_by_trial(reports: Sequence[EpochReport]) -> defaultdict[str, list[EpochReport]]:
    """The reports of each trial, by epoch."""
    by_trial: defaultdict[str, list[EpochReport]] = defaultdict(list)
    for report in sorted(reports, key=lambda report: report.epoch):
        by_trial[report.trial_id].append(report)
    return by_trial


def _leader(reports: Sequence[EpochReport], objective: Objective, bounds: Bounds) -> Leader | None:
    """The best finite report that keeps the bounds; the earliest to arrive among equals."""
    metric = objective.metric
    finite = [report for report in reports if report.is_finite and metric in report.metrics]
    kept = [report for report in finite if bounds.are_kept(report.metrics)]
    best = max(kept, key=lambda report: objective.score(report.metrics[metric]), default=None)
    return Leader(best.trial_id, best.epoch, best.metrics[metric]) if best else None


def _gpu_hours(recorded: RecordedSearch, gpus_of_unfinished: float) -> float:
    trials = recorded.trials
    gpus = dict(zip(trials["trial_id"], trials["gpus"].fillna(0.0), strict=True))
    gpu_secs = sum(
        report.epoch_secs * float(gpus.get(report.trial_id, gpus_of_unfinished))
        for report in recorded.reports
    )
    return gpu_secs / 3600


def _trials_since_best(reports: Sequence[EpochReport], ended: Sequence[str], leader: Leader | None) -> int:
    """How many of the ended trials sent their last report after the best one arrived.

    One without a report, as memory may run out before the first, counts where it began after the leading trial.
    """
    if leader is None:
        return len(ended)
    arrival = {(report.trial_id, report.epoch): index for index, report in enumerate(reports)}
    last_arrival = {report.trial_id: index for index, report in enumerate(reports)}
    best_arrival = arrival[leader.trial_id, leader.epoch]
    return sum(
        last_arrival[name] > best_arrival
        if name in last_arrival
        else number_of(name) > number_of(leader.trial_id)
        for name in ended
        if name != leader.trial_id
    )
