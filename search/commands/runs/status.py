"""`toprung status`: how far a search is and what it has found, from its tables alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from toprung.results.analysis.head_reference import head_reference
from toprung.results.analysis.incumbents import incumbents
from toprung.results.analysis.leaderboard import as_of_now, progress
from toprung.results.analysis.render import write
from toprung.results.analysis.time_and_cost.cost import cost_of
from toprung.results.analysis.time_and_cost.eta import remaining_secs
from toprung.results.tables.rows import configs_of
from toprung.results.tables.run_lock import present_holder
from toprung.search.commands.runs.run_views import view_of
from toprung.search.driver.failed_trials import failure_summary
from toprung.search.driver.progress import duration, per_time, preemptions_in_words
from toprung.spaces.families.transfer import TRANSFER, head_only_epochs
from toprung.trainables.trial.trial_id import AS_MANY_AS_FIT, SPACE_USED_UP, trials_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.results.report.charts.run_view import RunView
    from toprung.search.runs.run_folder import RunFolder

BLOCKS = "▁▂▃▄▅▆▇█"
CURVE_CHARS = 40


def show_status(folder: RunFolder, top: int) -> None:
    """Print progress, rungs, cost, failures and leaders."""
    view = view_of(folder)
    for line in status_lines(view, datetime.now(UTC)):
        print(line)
    holder = present_holder(folder.root)
    if holder and holder.workers:
        print(f"workers    {holder.workers} ({holder})")
    board = as_of_now(view.board, view.job.is_active).head(top)
    if len(board):
        write(board, "rich")
    if failed := failure_summary(view.trials):
        print(f"failed     {failed}")


def status_lines(view: RunView, now: datetime) -> Iterator[str]:
    """The lines above the leaders."""
    job = view.job
    seen = progress(view.proposals, view.epochs, view.trials, job.objectives.main, now=now)
    tried = trials_in_words(seen.ended, max(job.trials, seen.proposed))  # a continued run may ask for fewer
    counts = f"{tried} ended: {seen.completed} completed, {seen.stopped} stopped"
    rate = f", {per_time(seen.epochs_per_sec)}" if seen.running and seen.epochs_per_sec else ""
    preemptions = int(view.trials["preemptions"].sum())
    preempted = f", {preemptions_in_words(preemptions)}" if preemptions else ""
    unended = "running" if job.is_active else "not ended"
    yield (
        f"{job.name}: {counts}, {seen.failed} failed{preempted}; {seen.running} {unended}; {seen.epochs} epochs{rate}"
    )
    if not job.is_active and (seen.running or seen.ended < job.trials) and seen.proposed:
        yield f"state      {_unwritten(job.ended_because, seen.running)}"
    if job.is_active:
        left = remaining_secs(view.proposals, view.epochs, view.trials, job.plan, now, job.active_since)
        unknown = "until its hours are over" if job.trials >= AS_MANY_AS_FIT else "not known yet"
        yield f"left       {unknown if left is None else f'about {duration(left)}'}"
    if view.bounds_line:
        yield f"bounds     {view.bounds_line}"
    if not len(view.epochs):
        return
    yield from _best(view)
    yield from _head(view)
    yield from _rungs(view)
    yield from _cost(view)


def _unwritten(ended_because: str, unended: int) -> str:
    """What is with a run that lacks trials and that no search writes."""
    if ended_because.startswith(SPACE_USED_UP) and not unended:
        return f"ended, as the {ended_because}"
    because = f" ({ended_because})" if ended_because else ""
    return f"no search writes this run{because}: the same `toprung search` goes on with it"


def curve(values: np.ndarray, at: np.ndarray, better_is_more: bool) -> str:
    """Values that hold until the next one as a curve of CURVE_CHARS characters, higher is better."""
    xs = np.linspace(at[0], at[-1], CURVE_CHARS)
    held = values[np.maximum(0, np.searchsorted(at, xs, side="right") - 1)] * (
        1.0 if better_is_more else -1.0
    )
    low, high = float(held.min()), float(held.max())
    if high <= low:
        return ""
    return "".join(BLOCKS[round((value - low) / (high - low) * (len(BLOCKS) - 1))] for value in held.tolist())


def _best(view: RunView) -> Iterator[str]:
    found, leader = incumbents(view.epochs, view.trials, view.job.objectives.main), view.leader
    if leader is None or found.empty:
        return
    values, at = found["value"].to_numpy(dtype=float), found["epochs"].to_numpy(dtype=float)
    drawn = curve(values, at, view.job.objectives.main.mode == "max")
    span = f"  {drawn} over {int(at[-1])} epochs, from {values[0]:.4g}" if drawn else ""
    yield f"best       {view.metric} {leader.value:.4f} ({leader.trial_id}, epoch {leader.epoch}){span}"


def _head(view: RunView) -> Iterator[str]:
    if view.job.space != TRANSFER:
        return
    configs = configs_of(view.proposals)
    head_epochs = {trial_id: head_only_epochs(config) for trial_id, config in configs.items()}
    reference = head_reference(view.epochs, view.trials, head_epochs, view.job.objectives.main)
    if reference:
        yield f"head       {reference.line(view.metric)}"


def _rungs(view: RunView) -> Iterator[str]:
    head = "rungs"
    for row in view.rung_table.to_dict("records"):
        is_last = row["rung_epoch"] >= view.job.max_epochs
        asked = f"needs {row['threshold']:.4g}"
        if view.job.objectives.secondary:
            asked = f"at most {row['threshold']:.0f} may be better in every objective"
        needed = "" if is_last else f", {row['passed']} passed, {asked}"
        known = pd.notna(row["next_rank_correlation"])
        predicts = f", rank correlation {row['next_rank_correlation']:.2f} with the next" if known else ""
        over = "" if row["in_use"] else ", passed over"
        yield f"{head:10} epoch {row['rung_epoch']}: {row['results']} results{needed}{predicts}{over}"
        head = ""


def _cost(view: RunView) -> Iterator[str]:
    leader = view.leader
    cost = cost_of(view.board, view.trials, None if leader is None else leader.trial_id)
    total = cost.training_secs
    if total <= 0.0:
        return
    shares = ", ".join(
        f"{secs / total:.0%} {'not ended' if name == 'RUNNING' else name.lower()}"
        for name, secs in cost.by_outcome.items()
    )
    yield f"cost       {duration(total)} of training: {shares}; {cost.winner_secs / total:.0%} by the best trial"
