"""Charts of the rungs: what each predicted of the next, and its threshold over time."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from toprung.results.report.charts.chart import Axis, Chart, Series, evenly
from toprung.results.report.charts.run_view import finite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.results.report.charts.run_view import RunView

MOST_POINTS = 1500
FEWEST_POINTS = 2
COLORS = ("accent", "second", "third", "fourth", "fifth", "muted")


def thresholds(view: RunView) -> Chart:
    """The value that a trial needed at each rung, as results came in."""
    series = []
    for color, (epoch, rows) in zip(
        COLORS, view.rungs.sort_values("event_index").groupby("rung_epoch"), strict=False
    ):
        if epoch == view.job.max_epochs:
            continue
        drawn = evenly(len(rows), MOST_POINTS, [len(rows) - 1])
        kept = rows.iloc[drawn]
        values = kept["threshold"].to_numpy(dtype=float)
        series.append(Series(f"rung {epoch}", "step", kept["event_index"], values, color=color))
    several = bool(view.job.objectives.secondary)
    label = "most trials that may dominate" if several else f"{view.metric} needed"
    note = "The least good value that was kept at each rung, at each of the decisions in their order."
    return Chart(
        "thresholds", "What a rung asked for", note, Axis("decision", whole=True), Axis(label), tuple(series)
    )


def predictions(view: RunView) -> Iterator[Chart]:
    """One chart for each rung and the next: the values of the trials that reached both."""
    metric = view.metric
    values = view.epochs[finite(view.epochs[metric])].set_index(["trial_id", "epoch"])[metric]
    table = view.rung_table.set_index("rung_epoch")
    for lower, upper in pairwise(view.rung_epochs):
        both = values.unstack("epoch").reindex(columns=[lower, upper]).dropna()
        both = both[[name in view.numbers for name in both.index]]
        if len(both) < FEWEST_POINTS:
            continue
        reached = len(both)
        both = both.iloc[evenly(len(both), MOST_POINTS)]
        correlation = table["next_rank_correlation"].get(lower)
        known = correlation is not None and correlation == correlation
        told = f"rank correlation {correlation:.2f}" if known else "too few trials for a rank correlation"
        note = f"The {reached:,} trials that reached both; {told}. Only trials that passed are seen above."
        trials = [view.numbers[name] for name in both.index]
        points = Series("trial", "points", both[lower], both[upper], trials=trials)
        x, y = Axis(f"{metric} at epoch {lower}"), Axis(f"at epoch {upper}")
        yield Chart(f"rung-{lower}", f"Rung {lower} against rung {upper}", note, x, y, (points,))
