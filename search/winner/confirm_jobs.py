"""The searches that train chosen configurations with new seeds: the job of one, and what those of a run have found."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toprung.results.analysis.learning_curve import curve_of
from toprung.results.tables.parts import read_table, read_tables
from toprung.results.tables.schema import TRIALS
from toprung.search.jobs.search_section import Budgets
from toprung.search.runs.run_folder import CODE, JOB_FILE, RunFolder, code_name
from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.report import Outcome
from toprung.trainables.trial.trial_id import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from toprung.search.jobs.schema import JobSpec

    Params = Mapping[str, Any]

FOLDER = "confirm"
NAME_CHARS = 80  # of the run's name in that of its confirmation


@dataclass(frozen=True)
class Training:
    """One training with a new seed: what it ended as, and the objective's value at each of its epochs."""

    outcome: Outcome
    curve: tuple[float, ...]


@dataclass(frozen=True)
class ConfirmRun:
    """A confirmation that was begun; `has_ended` when nothing is left to train in it."""

    folder: RunFolder
    has_ended: bool


def confirming(job: JobSpec, folder: RunFolder, points: Sequence[Params], earlier_runs: int) -> JobSpec:
    """The job that trains each of these points of the space once to its end: the same images, seeds of its own.

    Its name and its seed follow from all that a run may not change, so that the same question goes on with the same
    run, and another one, or after as many as `earlier_runs`, has new seeds.
    """
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
    tracking = {"uri": folder.tracking(job).uri} if job.tracking.enabled else {}
    asked = job.model_copy(
        update={
            "data": job.data.model_copy(update={"seed": job.split_seed}),
            "search": job.search.model_copy(update=search),
            "storage": job.storage.model_copy(update=storage),
            "tracking": job.tracking.model_copy(update=tracking),
        }
    )
    settled = [asked.seed, _basis(asked), asked.search.model_dump(mode="json"), _code(job), earlier_runs]
    digest = hashlib.sha256(json.dumps(settled).encode()).hexdigest()
    name = f"{job.name[:NAME_CHARS]}-confirm-{digest[:8]}"
    return asked.model_copy(update={"name": name, "seed": int(digest[:7], 16)})


def runs_of(folder: RunFolder, job: JobSpec) -> Iterator[ConfirmRun]:
    """The confirmations of this run with the job's data, space and epochs, and the model's file as it is now."""
    code = _code(job)
    for name in Storage.at(folder.root).folders(FOLDER):
        run = RunFolder(f"{folder.root}/{FOLDER}/{name}")
        storage = Storage.at(run.root)
        if not storage.exists(JOB_FILE) or (code and storage.list(CODE) != (code,)):
            continue
        theirs = run.job()
        if _basis(theirs) == _basis(job):
            yield ConfirmRun(run, len(read_table(run.root, TRIALS)) >= theirs.search.trials)


def trainings(runs: Sequence[ConfirmRun], metric: str) -> defaultdict[str, list[Training]]:
    """Every training of these runs that tells something of its configuration, by the `key` of its point."""
    known: defaultdict[str, list[Training]] = defaultdict(list)
    for run in runs:
        points = run.folder.job().search.initial_configs or []
        _, epochs, trials = read_tables(run.folder.root)
        for row in trials.sort_values("trial_id").itertuples():
            outcome, trial_id = Outcome(str(row.outcome)), str(row.trial_id)
            if outcome is Outcome.COMPLETED or outcome.rules_out_config:
                training = Training(outcome, curve_of(epochs, trial_id, metric))
                known[point_key(points[number_of(trial_id)])].append(training)
    return known


def point_key(params: Params) -> str:
    """The same text for the same point of the space."""
    return json.dumps(dict(params), sort_keys=True)


def _basis(job: JobSpec) -> list[Any]:
    """What trainings must share to be compared: images may have moved, but not changed."""
    data = job.data.model_dump(mode="json", exclude={"path", "seed"})
    return [data, job.space.model_dump(mode="json"), job.search.max_epochs, job.split_seed]


def _code(job: JobSpec) -> str | None:
    return code_name(pack_source(job.family))
