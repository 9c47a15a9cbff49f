"""Charts of how the search went: the best so far, and the learning curves by fate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from toprung.results.analysis.incumbents import incumbents
from toprung.results.report.charts.chart import Axis, Chart, Series, evenly
from toprung.results.report.charts.run_view import finite
from toprung.results.report.charts.time_unit import clock_axis

if TYPE_CHECKING:
    from toprung.results.report.charts.run_view import RunView

MOST_CURVES = 1500
TITLES = {
    "epochs": "Best so far, by epochs",
    "worker_hours": "Best so far, by workers' time",
    "hours": "Best so far, by the clock",
}


def best_so_far(view: RunView) -> list[Chart]:
    """The best value against epochs, worker hours and wall clock."""
    found = incumbents(view.epochs, view.trials, view.job.objectives.main)
    values = found["value"].to_numpy(dtype=float)
    charts = []
    for column, title in TITLES.items():
        label, factor = clock_axis(column, float(found[column].max()) if len(found) else 0.0)
        trials = view.numbers_of(found["trial_id"])
        series = Series("best so far", "step", factor * found[column], values, trials=trials)
        note = "Each step is a new best trial; trials that cannot win do not count."
        axes = Axis(label, whole=column == "epochs"), Axis(view.metric)
        charts.append(Chart(f"best-{column}", title, note, *axes, (series,), height=200))
    return charts


def learning_curves(view: RunView) -> Chart:
    """Every trial's values by epoch, coloured by how it ended, with the rungs."""
    keep = list(range(min(len(view.board), MOST_CURVES // 3)))
    drawn = evenly(len(view.board), MOST_CURVES, keep)
    names = set(view.board["trial_id"].iloc[drawn])
    rows = view.epochs[view.epochs["trial_id"].isin(names) & finite(view.epochs[view.metric])]
    rows = rows.sort_values(["trial_id", "epoch"])
    fate = rows["trial_id"].map(view.outcomes)
    series = []
    for outcome in dict.fromkeys([*view.fates]):
        own = rows[fate == outcome]
        if own.empty:
            continue
        breaks = np.flatnonzero(own["trial_id"].to_numpy()[1:] != own["trial_id"].to_numpy()[:-1]) + 1
        x = np.insert(own["epoch"].to_numpy(dtype=float), breaks, np.nan)
        y = np.insert(own[view.metric].to_numpy(dtype=float), breaks, np.nan)
        trials = np.insert(np.array(view.numbers_of(own["trial_id"])), breaks, -1)
        series.append(Series(outcome, "line", x, y, trials=trials.tolist(), color=outcome))
    rungs = [Series("rung", "rule", [float(epoch)], color="muted") for epoch in view.rung_epochs]
    left_out = len(view.board) - len(drawn)
    thinned = (
        f" {len(drawn):,} of {len(view.board):,} trials are drawn, the best among them." if left_out else ""
    )
    note = (
        f"One line a trial, by how it ended; dotted lines are the rungs, where trials are compared.{thinned}"
    )
    is_long = view.job.max_epochs > 30
    axes = Axis("epoch", log=is_long, whole=True), Axis(view.metric)
    return Chart("curves", "Learning curves", note, *axes, (*rungs, *series), height=360, wide=True)
