"""Charts with a point for each trial: predicted against got, overfitting, and the trade-off between objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from toprung.results.report.charts.chart import Axis, Chart, Series, evenly
from toprung.results.report.charts.run_view import finite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.results.report.charts.run_view import RunView

MOST_POINTS = 2000


def predicted_against_got(view: RunView) -> Chart:
    """What the model predicted of each proposal at a rung, and what its trial reached there."""
    rows = view.proposals[finite(view.proposals["predicted_mean"])].drop_duplicates("trial_id")
    values = view.epochs[["trial_id", "epoch", view.metric]]
    joined = rows.merge(values, left_on=["trial_id", "model_rung_epoch"], right_on=["trial_id", "epoch"])
    joined = joined[finite(joined[view.metric])]
    joined = joined.iloc[evenly(len(joined), MOST_POINTS)]
    x, got = joined["predicted_mean"].to_numpy(dtype=float), joined[view.metric].to_numpy(dtype=float)
    points = Series("proposal", "points", x, got, trials=view.numbers_of(joined["trial_id"]))
    ends = [float(min(x.min(), got.min())), float(max(x.max(), got.max()))] if len(joined) else []
    equal = Series("as predicted", "line", ends, ends, color="muted")
    within = abs(got - x) <= 2 * joined["predicted_deviation"].to_numpy(dtype=float)
    told = (
        f" {within.mean():.0%} lie within two of the predicted deviations (95% if those were true)."
        if len(x)
        else ""
    )
    note = f"Proposals of the model that reached the rung it predicted.{told}"
    axes = Axis(f"predicted {view.metric}"), Axis(f"{view.metric} at that rung")
    return Chart("predicted", "Predicted against got", note, *axes, (equal, points))


def overfitting(view: RunView) -> Chart:
    """By how much each trial is better on training images than on validation images, at its last epoch."""
    train = view.metric.replace("val_", "train_")
    columns = ("train_accuracy", "val_accuracy") if train not in view.epochs else (train, view.metric)
    if not {*columns} <= {*view.epochs.columns}:
        return Chart("overfitting", "Overfitting", "", Axis(""), Axis(""), ())
    last = view.epochs.sort_values("epoch").drop_duplicates("trial_id", keep="last")
    last = last[finite(last[columns[0]]) & finite(last[columns[1]])]
    last = last.iloc[evenly(len(last), MOST_POINTS)]
    gap = last[columns[0]].to_numpy(dtype=float) - last[columns[1]].to_numpy(dtype=float)
    series = tuple(_by_fate(view, last["trial_id"], last[columns[1]], pd.Series(gap, index=last.index)))
    zero = Series("no gap", "rule", [], [0.0], color="muted")
    note = "Training value minus validation value at each trial's last epoch; augmentation and dropout lower the first."
    axes = Axis(f"{columns[1]} at the last epoch"), Axis(f"{columns[0]} minus {columns[1]}")
    return Chart("overfitting", "Overfitting gap", note, *axes, (zero, *series))


def trade_off(view: RunView) -> Chart | None:
    """The trials in two objectives, those that no other beats joined; None for one objective."""
    secondary = view.job.objectives.secondary
    if not secondary:
        return None
    other = secondary[0].metric
    board = view.board[finite(view.board[view.metric]) & finite(view.board[other])]
    kept = board.iloc[evenly(len(board), MOST_POINTS)]
    front = board[board["pareto"].astype(bool)].sort_values(other)
    points = tuple(_by_fate(view, kept["trial_id"], kept[other], kept[view.metric]))
    line = Series("not beaten in every objective", "line", front[other], front[view.metric], color="second")
    marks = Series(
        "unbeaten", "points", front[other], front[view.metric], trials=view.numbers_of(front["trial_id"])
    )
    note = f"{len(front)} trials are beaten by no other in every objective at once."
    return Chart(
        "pareto", "Trade-off", note, Axis(other), Axis(view.metric), (*points, line, marks), height=320
    )


def _by_fate(view: RunView, trial_ids: pd.Series, x: pd.Series, y: pd.Series) -> Iterator[Series]:
    fate = trial_ids.map(view.outcomes)
    for outcome in dict.fromkeys(view.fates):
        own = fate == outcome
        if own.any():
            xs, ys = x[own].to_numpy(dtype=float), y[own].to_numpy(dtype=float)
            yield Series(outcome, "points", xs, ys, trials=view.numbers_of(trial_ids[own]), color=outcome)
