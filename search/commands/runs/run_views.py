"""Runs as the report and the comparison see them: their tables, and what a report says of their jobs."""

from __future__ import annotations

import json
from shlex import quote
from typing import TYPE_CHECKING, Any

from toprung.results.analysis.comparison import ComparedRun
from toprung.results.analysis.winner import rank_trials
from toprung.results.report.charts.run_view import JobFacts, RunView
from toprung.results.tables.run_lock import present_holder
from toprung.results.tables.schema import TRIALS
from toprung.results.tracking.search_end import SearchEnd
from toprung.search.commands.output_path import short_path
from toprung.search.driver.remaining_time import search_plan
from toprung.search.retrained.champion import champion
from toprung.search.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from toprung.search.jobs.schema import Job


def view_of(folder: RunFolder) -> RunView:
    """A run as it is now. Raises `InputError` where there is none."""
    job, model = folder.job(), champion(folder)
    end, holder = SearchEnd.read(folder.root), present_holder(folder.root)
    facts = JobFacts(
        name=folder.name,
        objectives=job.search.optimized,
        plan=search_plan(job),
        space=job.space.name,
        yaml=job.to_yaml(),
        retrained=None if model is None else model.report,
        active_since=None if holder is None else holder.took_at,
        ended_because="" if end is None else end.reason,
    )
    return RunView.read(folder.root, facts)


def compared_run(view: RunView, job: Job) -> ComparedRun:
    """A run in a comparison."""
    fingerprints = view.proposals["data_fingerprint"].dropna()
    best = float("nan") if view.leader is None else view.leader.value
    fingerprint = str(fingerprints.iloc[0]) if len(fingerprints) else None
    return ComparedRun(view.job.name, job.seed, best, flat(job.model_dump(mode="json")), fingerprint)


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by their path, as in `search.trials`; lists as JSON."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            found.update(flat(value, f"{prefix}{key}."))
        else:
            found[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return found


def next_step(folder: RunFolder, view: RunView) -> str:
    """The command to type next."""
    if view.job.is_active:
        return ""
    if rank_trials(view.trials, view.epochs, view.job.objectives.main).empty:
        return f"no trial can be retrained: the column `reason` of {short_path(folder.path(TRIALS))} says why"
    return f"toprung retrain {quote(short_path(folder.root))}"
