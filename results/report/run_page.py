"""The page of one run: its sections in order, from the verdict to the job."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from toprung.results.analysis.time_and_cost.cost import failures
from toprung.results.report.charts.cost_charts import cost_charts, timeline
from toprung.results.report.charts.model_charts import ModelView
from toprung.results.report.charts.progress_charts import best_so_far, learning_curves
from toprung.results.report.charts.rung_charts import predictions, thresholds
from toprung.results.report.charts.trial_charts import overfitting, predicted_against_got, trade_off
from toprung.results.report.charts.winner_charts import winner_charts
from toprung.results.report.page import PageData, Section, cell_text, html_page, html_table
from toprung.results.report.trial_table import parallel_axes, trial_columns
from toprung.results.report.verdict import verdict_html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toprung.results.report.charts.chart import Chart
    from toprung.results.report.charts.run_view import RunView

SHOWN_WITHOUT_SCRIPT = 20


def run_page(view: RunView, next_step: str, refresh_secs: float | None = None) -> str:
    """The page of a run as it is now; `next_step` is the command to type next."""
    model = ModelView.of(view) if len(view.epochs) else None
    columns, constant = trial_columns(view)
    axes = parallel_axes(view, columns, [one.name for one in model.found.parameters] if model else [])
    objective = view.job.objectives.main
    data = PageData({"name": objective.metric, "better": objective.mode}, columns, axes, refresh_secs)
    sections = [Section("verdict", "Verdict", verdict_html(view, next_step))]
    if model is not None:
        sections += _of_results(view, model)
    sections += [
        Section("failures", "Failures", _failures(view)),
        Section("parallel", "All parameters", parallel=len(axes) > 1),
        Section("table", "Trials", _trial_table(view, constant)),
        Section("job", "Job and space", _job(view)),
    ]
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    again = f", loads itself again every {refresh_secs:g} s" if refresh_secs else ""
    lead = f'<p class="soft">{escape(view.root)}, as it was on {moment}{again}</p>'
    return html_page(view.job.name, lead, sections, data)


def charts_of(view: RunView) -> list[Chart]:
    """Every chart of the page that has something to show."""
    if not len(view.epochs):
        return []
    sections = _of_results(view, ModelView.of(view))
    return [chart for section in sections for chart in section.charts if not chart.is_empty]


def _of_results(view: RunView, model: ModelView) -> list[Section]:
    front = trade_off(view)
    return [
        Section("best", "Best so far", charts=tuple(best_so_far(view))),
        Section("curves", "Learning curves", charts=(learning_curves(view),)),
        Section(
            "rungs", "Rungs", _rungs(view), (thresholds(view), *predictions(view)) if len(view.rungs) else ()
        ),
        Section("cost", "Cost", charts=(*cost_charts(view), timeline(view))),
        Section("importance", "Which parameters matter", _importance(model), model.charts),
        Section(
            "proposals", "Proposals and overfitting", charts=(predicted_against_got(view), overfitting(view))
        ),
        Section("trade-off", "Trade-off", charts=() if front is None else (front,)),
        Section("test", "Test results", charts=tuple(winner_charts(view))),
    ]


def _importance(model: ModelView) -> str:
    found = model.found
    if found.parameters:
        return ""
    return f"<p><strong>Cannot tell</strong>: {escape(found.reason)}.</p>"


def _rungs(view: RunView) -> str:
    rows = [
        [
            int(row["rung_epoch"]),
            int(row["results"]),
            int(row["passed"]),
            _number(row["threshold"]) if row["rung_epoch"] < view.job.max_epochs else None,
            _number(row["next_rank_correlation"]),
            _number(row["last_rank_correlation"]),
            ("in use" if row["in_use"] else "passed over") + _since(row["since"]),
        ]
        for row in view.rung_table.to_dict("records")
    ]
    if not rows:
        return ""
    names = ["epoch", "results", "passed", "needed", "rank correlation with next", "with last", "state"]
    return html_table(names, rows) + "<br>"


def _since(moment: Any) -> str:
    return "" if moment is None or pd.isna(moment) else f" since {pd.Timestamp(moment):%Y-%m-%d %H:%M}"


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _failures(view: RunView) -> str:
    rows = failures(view.trials)
    if rows.empty:
        return ""
    cells = rows[["outcome", "trials", "reason", "latest"]].to_numpy().tolist()
    return html_table(["outcome", "trials", "reason", "latest"], cells, wrapped=["reason"])


def _trial_table(view: RunView, constant: dict[str, object]) -> str:
    names = ["rank", "trial_id", "outcome", view.metric, "best_epoch", "last_epoch"]
    board = view.board[names].head(SHOWN_WITHOUT_SCRIPT)
    rows = [
        [None if pd.isna(value) else value for value in row]
        for row in board.astype(object).to_numpy().tolist()
    ]
    same = " ".join(f"{name}={cell_text(value)}" for name, value in constant.items())
    told = f"<p>In all trials: <code>{escape(same)}</code></p>" if same else ""
    return f'{told}<div id="trials">{html_table(names, rows)}</div>'


def _job(view: RunView) -> str:
    names = ["name", "kind", "low", "high", "log", "step", "choices", "condition", "fixed"]
    rows: Sequence[Sequence[object]] = [
        [None if pd.isna(value) else value for value in row]
        for row in view.space[names].astype(object).to_numpy().tolist()
    ]
    space = html_table(names, rows, wrapped=["choices"]) if rows else ""
    job = f"<pre>{escape(view.job.yaml)}</pre>"
    return f"{space}<details><summary>The job as it was understood</summary>{job}</details>"
