"""The searches that train chosen configurations with new seeds: the job of one, and what ended ones have found."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from results.curve import curve_of
from results.leaderboard import UNFIT
from results.parts import read_table, read_tables
from results.schema import TRIALS
from results.storage import Storage
from search.job import Budgets
from search.runfolder import JOB_FILE, RunFolder
from search.settings import number_of
from trainables.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from search.job import JobSpec

    Params = Mapping[str, Any]

FOLDER = "confirm"
NAME_CHARS = 80  # of the run's name in that of its confirmation


@dataclass(frozen=True)
class Training:
    """One training with a new seed: what it ended as, and the objective's value at each of its epochs."""

    outcome: Outcome
    curve: tuple[float, ...]


def confirming(job: JobSpec, folder: RunFolder, points: Sequence[Params], earlier_runs: int) -> JobSpec:
    """The job that trains each of these points of the space once to its end: the same images, seeds of its own.

    Its name and its seed follow from all of that, so that the same question goes on with the same run, and another one,
    after as many as `earlier_runs` have ended, has new seeds.
    """
    text = json.dumps([job.seed, _basis(job), [*map(key, points)], earlier_runs])
    digest = hashlib.sha256(text.encode()).hexdigest()
    search = {
        "trials": len(points),
        "min_epochs": job.search.max_epochs,  # nobody is stopped early
        "initial_configs": [dict(params) for params in points],
        "sampler": "random",
        "variant": "stop",
        "objectives": [],
        "warm_start": [],
        "budgets": Budgets(),
    }
    storage = {"path": f"{folder.root}/{FOLDER}", "keep_stopped": False}
    return job.model_copy(
        update={
            "name": f"{job.name[:NAME_CHARS]}-confirm-{digest[:8]}",
            "seed": int(digest[:7], 16),
            "data": job.data.model_copy(update={"seed": job.split_seed}),
            "search": job.search.model_copy(update=search),
            "storage": job.storage.model_copy(update=storage),
            "tracking": job.tracking.model_copy(update={"uri": folder.tracking(job).uri}),
        }
    )


def ended_runs(folder: RunFolder, job: JobSpec) -> Iterator[RunFolder]:
    """The confirmations of this run whose trainings have all ended, and were of the same kind."""
    for name in Storage.at(folder.root).folders(FOLDER):
        run = RunFolder(f"{folder.root}/{FOLDER}/{name}")
        if Storage.at(run.root).exists(JOB_FILE):
            theirs = run.job()
            has_ended = len(read_table(run.root, TRIALS)) >= theirs.search.trials
            if has_ended and _basis(theirs) == _basis(job):
                yield run


def trainings(runs: Sequence[RunFolder], metric: str) -> defaultdict[str, list[Training]]:
    """Every training of these runs that tells something of its configuration, by the `key` of its point.

    One that lost its worker, or hung, tells nothing.
    """
    known: defaultdict[str, list[Training]] = defaultdict(list)
    for run in runs:
        points = run.job().search.initial_configs or []
        _, epochs, trials = read_tables(run.root)
        for row in trials.sort_values("trial_id").itertuples():
            outcome, trial_id = Outcome(str(row.outcome)), str(row.trial_id)
            if outcome in {Outcome.COMPLETED, Outcome.STOPPED, *UNFIT}:
                curve = curve_of(epochs, trial_id, metric)
                known[key(points[number_of(trial_id)])].append(Training(outcome, curve))
    return known


def key(params: Params) -> str:
    """The same text for the same point of the space."""
    return json.dumps(dict(params), sort_keys=True)


def _basis(job: JobSpec) -> list[Any]:
    """What trainings must share to be compared: images may have moved, but not changed."""
    data = job.data.model_dump(mode="json", exclude={"path", "seed"})
    return [data, job.space.model_dump(mode="json"), job.search.max_epochs, job.split_seed]
