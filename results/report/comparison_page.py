"""The page of several runs: the best so far side by side, what differs, and the winners beside each other."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.results.analysis.comparison import contrasts, differing, groups_of, mean_interval
from toprung.results.analysis.incumbents import incumbents
from toprung.results.report.charts.chart import Axis, Chart, Series
from toprung.results.report.charts.time_unit import CLOCKS, clock_axis
from toprung.results.report.page import PageData, Section, html_page, html_table
from toprung.results.tables.rows import configs_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from toprung.results.analysis.comparison import ComparedRun, Group
    from toprung.results.report.charts.run_view import RunView

COLORS = ("accent", "second", "third", "fourth", "fifth", "OOM", "TIMEOUT", "muted")
POINTS = 200


def comparison_page(views: Sequence[RunView], runs: Sequence[ComparedRun]) -> str:
    """The page of several runs of the same metric; where metrics differ, the values stand beside each other alone."""
    objective = views[0].job.objectives.main
    is_comparable = len({view.metric for view in views}) == 1
    groups = groups_of(runs, objective)
    sections = [Section("runs", "Runs", html_table(*runs_table(views)))]
    if is_comparable:
        sections += [
            Section("verdict", "Which settings are better", _verdicts(groups, views)),
            Section("best", "Best so far", charts=tuple(best_so_far(views, runs, groups))),
        ]
    sections += [
        Section("differences", "What differs", _differences(views, runs)),
        Section("winners", "Winners", _winners(views)),
    ]
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    lead = f'<p class="soft">{escape(", ".join(view.root for view in views))}, as they were on {moment}</p>'
    data = PageData({"name": objective.metric, "better": objective.mode})
    return html_page(f"{len(views)} runs", lead, sections, data)


def runs_table(views: Sequence[RunView]) -> tuple[list[str], list[list[Any]]]:
    """The heads and the rows of a table with one row a run."""
    names = [
        "run",
        "metric",
        "best",
        "trial",
        "epoch",
        "trials",
        "ended",
        "epochs",
        "worker hours",
        "test accuracy",
    ]
    rows = []
    for view in views:
        leader, report = view.leader, view.job.retrained
        best = [None, None, None] if leader is None else [leader.value, leader.trial_id, leader.epoch]
        hours = float(view.epochs["epoch_secs"].sum()) / 3600
        counts = [len(view.board), len(view.trials), len(view.epochs)]
        rows.append(
            [
                view.job.name,
                view.metric,
                *best,
                *counts,
                hours,
                None if report is None else report["test_accuracy"],
            ]
        )
    return names, rows


def contrast_table(groups: Sequence[Group], views: Sequence[RunView]) -> tuple[list[str], list[list[Any]]]:
    """The heads and the rows of a table with one row for each group of runs of the same settings."""
    objective = views[0].job.objectives.main
    names = ["runs", "seeds", "mean best", "95% low", "95% high", "behind", "low", "high", "verdict"]
    first = groups[0]
    rows: list[list[Any]] = [
        [first.names, first.seeds, *_known(first.mean, first.low, first.high), None, None, None, "first"]
    ]
    for one in contrasts(groups, objective):
        group = one.group
        numbers = _known(group.mean, group.low, group.high, one.behind, one.low, one.high)
        how = f" ({one.method})" if not math.isnan(one.low) else ""
        rows.append([group.names, group.seeds, *numbers, f"{one.verdict}{how}"])
    return names, rows


def best_so_far(
    views: Sequence[RunView], runs: Sequence[ComparedRun], groups: Sequence[Group]
) -> Iterator[Chart]:
    """The best so far of each run, a colour for each group, with the mean and its 95% interval over seeds."""
    group_of = {id(run): i for i, group in enumerate(groups) for run in group.runs}
    found = [incumbents(view.epochs, view.trials, view.job.objectives.main) for view in views]
    for column in CLOCKS:
        label, factor = clock_axis(
            column, max((table[column].max() for table in found if len(table)), default=0.0)
        )
        tables = [table.assign(x=factor * table[column]) for table in found]
        series = []
        for i, group in enumerate(groups):
            own = [
                table
                for run, table in zip(runs, tables, strict=True)
                if group_of[id(run)] == i and len(table)
            ]
            series += _band(own, group.names, COLORS[i % len(COLORS)])
        for run, table in zip(runs, tables, strict=True):
            color = COLORS[group_of[id(run)] % len(COLORS)]
            values = table["value"].to_numpy(dtype=float)
            series.append(Series(run.name, "step", table["x"], values, color=color))
        note = (
            "One line a run, one colour for each set of settings; bands are 95% intervals of the mean over seeds, cut "
            "to the range of the runs."
        )
        yield Chart(
            f"compare-{column}",
            f"By {label}",
            note,
            Axis(label),
            Axis(views[0].metric),
            tuple(series),
            height=280,
        )


def _band(tables: Sequence[pd.DataFrame], name: str, color: str) -> list[Series]:
    if len(tables) < 2:
        return []
    begin, end = (pick(table["x"].iloc[place] for table in tables) for pick, place in ((max, 0), (min, -1)))
    if end <= begin:
        return []
    xs = np.linspace(begin, end, POINTS)
    values = np.array(
        [
            table["value"].to_numpy(dtype=float)[np.searchsorted(table["x"], xs, side="right") - 1]
            for table in tables
        ]
    )
    intervals = np.array([mean_interval(list(at)) for at in values.T])
    # Two seeds that differ have an interval many times as wide as what they span: it would flatten the lines.
    intervals[:, 1:] = np.clip(intervals[:, 1:], values.min(), values.max())
    mean = Series(f"mean of {name}", "line", xs, intervals[:, 0], color=color)
    return [Series(f"interval of {name}", "band", xs, intervals[:, 1], intervals[:, 2], color=color), mean]


def _verdicts(groups: Sequence[Group], views: Sequence[RunView]) -> str:
    told = "<p>The best value of a search is too good by its luck, for all runs alike; intervals are over seeds.</p>"
    return told + html_table(*contrast_table(groups, views), wrapped=["runs", "verdict"])


def _differences(views: Sequence[RunView], runs: Sequence[ComparedRun]) -> str:
    jobs = [[key, *map(_text, values)] for key, values in differing(runs).items()]
    spaces = [{row["name"]: _range(row) for row in view.space.to_dict("records")} for view in views]
    names = list(dict.fromkeys(name for space in spaces for name in space))
    in_space = [[f"space: {name}", *(space.get(name, "absent") for space in spaces)] for name in names]
    rows = [*jobs, *(row for row in in_space if len(set(row[1:])) > 1)]
    if not rows:
        return "<p>Nothing in the jobs, the spaces or the images.</p>"
    return html_table(["setting", *(run.name for run in runs)], rows)


def _winners(views: Sequence[RunView]) -> str:
    configs = [
        configs_of(view.proposals).get(view.leader.trial_id, {}) if view.leader else {} for view in views
    ]
    names = list(dict.fromkeys(name for config in configs for name in config))
    rows = [[name, *(_text(config.get(name)) for config in configs)] for name in sorted(names)]
    return html_table(["parameter", *(view.job.name for view in views)], rows) if rows else ""


def _known(*values: float) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values]


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _range(row: Mapping[Any, Any]) -> str:
    if isinstance(row["fixed"], str):
        return f"fixed at {row['fixed']}"
    if isinstance(row["choices"], str):
        return row["choices"]
    scale = ", log" if row["log"] is True else ""
    return f"{row['kind']} {_text(row['low'])} to {_text(row['high'])}{scale}"
