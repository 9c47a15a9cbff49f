"""Charts of what the search cost: by outcome, by purpose, and the time line of its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toprung.results.analysis.time_and_cost.cost import cost_of
from toprung.results.report.charts.chart import Axis, Chart, Series, evenly
from toprung.results.report.charts.time_unit import in_words, unit_of

if TYPE_CHECKING:
    from toprung.results.report.charts.run_view import RunView

MOST_BARS = 4000
MOST_WORKERS = 40


def cost_charts(view: RunView) -> list[Chart]:
    """Worker hours by outcome, with the winner's share, and by purpose."""
    leader = view.leader
    cost = cost_of(view.board, view.trials, None if leader is None else leader.trial_id)
    total = cost.training_secs
    share = f" The best trial took {cost.winner_secs / total:.1%} of it." if total and leader else ""
    unit = unit_of(max([0.0, *cost.by_outcome.values(), *cost.by_purpose.values()]))
    spent_by = enumerate(cost.by_outcome.items())
    outcomes = [_bars(name, [secs / unit.secs], [row], name) for row, (name, secs) in spent_by]
    worker_time = Axis(f"worker {unit.name}")
    by_outcome = _bar_chart(
        ("cost-outcome", "Training by outcome", f"{in_words(total)} of training in all.{share}"),
        worker_time,
        tuple(cost.by_outcome),
        tuple(outcomes),
    )
    spent = [secs / unit.secs for secs in cost.by_purpose.values()]
    all_time = f"{in_words(sum(cost.by_purpose.values()))} of workers' time, start-up and waiting included."
    by_purpose = _bar_chart(
        ("cost-purpose", "Where the seconds of ended trials went", all_time),
        worker_time,
        tuple(cost.by_purpose),
        (_bars("workers' time", spent, list(range(len(spent))), "accent"),),
    )
    return [by_outcome, by_purpose]


def _bar_chart(
    texts: tuple[str, str, str], x: Axis, names: tuple[str, ...], bars: tuple[Series, ...]
) -> Chart:
    """Horizontal bars, a named row for each; `texts` are the chart's id, title and note."""
    return Chart(*texts, x, Axis("", names=names), bars, height=_height(len(names)))


def timeline(view: RunView) -> Chart:
    """One row for each worker: which trial it trained when, and where a node died under a trial."""
    rows = view.trials.dropna(subset=["started_at", "ended_at"])
    rows = rows[rows["worker_index"].notna()]
    workers = sorted(rows["worker_index"].unique())[:MOST_WORKERS]
    rows = rows[rows["worker_index"].isin(workers)]
    rows = rows.iloc[evenly(len(rows), MOST_BARS)]
    position = {worker: i for i, worker in enumerate(workers)}
    first = rows["started_at"].min()
    unit = unit_of((rows["ended_at"].max() - first).total_seconds() if len(rows) else 0.0)
    began = (rows["started_at"] - first).dt.total_seconds() / unit.secs
    ended = (rows["ended_at"] - first).dt.total_seconds() / unit.secs
    places = rows["worker_index"].map(position)
    series = []
    for outcome in dict.fromkeys(view.fates):
        own = rows["outcome"] == outcome
        if own.any():
            series.append(
                Series(
                    outcome,
                    "bars",
                    began[own].to_numpy(dtype=float),
                    places[own].to_numpy(dtype=float),
                    ended[own].to_numpy(dtype=float),
                    view.numbers_of(rows["trial_id"][own]),
                    outcome,
                )
            )
    preempted = rows["preemptions"].fillna(0) > 0
    if preempted.any():
        x, y = ended[preempted].to_numpy(dtype=float), places[preempted].to_numpy(dtype=float)
        trials = view.numbers_of(rows["trial_id"][preempted])
        series.append(Series("a node died under it", "points", x, y, trials=trials, color="FAILED"))
    names = tuple(f"worker {int(worker)}" for worker in workers)
    note = "Each bar is a trial from its proposal to its end, in the row of the worker process that ended it."
    height = _height(len(workers), 18)
    return Chart(
        "workers", "Workers", note, Axis(unit.name), Axis("", names=names), tuple(series), height, True
    )


def _bars(name: str, lengths: list[float], rows: list[int], color: str) -> Series:
    return Series(name, "bars", np.zeros(len(lengths)), [float(row) for row in rows], lengths, color=color)


def _height(rows: int, each: int = 26) -> int:
    return 60 + each * max(2, rows)
