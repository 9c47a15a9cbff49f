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

    from toprung.search.jobs.schema import Job

    Params = Mapping[str, Any]

FOLDER = "confirm"
NAME_CHARS = 80  # characters of the run's name in the names of its confirmations


@dataclass(frozen=True)
class Training:
    """One training with a new seed: its outcome, and the objective's value at each of its epochs.

    `fold` is the one that validated it; None for the run's own validation set.
    """

    outcome: Outcome
    curve: tuple[float, ...]
    fold: int | None = None


@dataclass(frozen=True)
class ConfirmRun:
    """The run of a confirmation; `has_ended` when all of its trials have, `fold` as of its trainings."""

    folder: RunFolder
    has_ended: bool
    fold: int | None = None


def confirm_job(
    job: Job, folder: RunFolder, points: Sequence[Params], earlier_runs: int, fold: int | None = None
) -> Job:
    """The job that trains each of these points of the space once to its last epoch, on the same images.

    Name and seed follow from what a run may not change, so that the same request continues the same run, and a
    different request has new seeds.

    Args:
        job: The job of the run to confirm.
        folder: That run.
        points: Parameters of each training; a point that is given twice is trained with two seeds.
        earlier_runs: Number of confirmations so far, which makes the seeds differ from theirs.
        fold: The fold that validates; None for the run's own validation set.
    """
    search = {
        "trials": len(points),
        "min_epochs": job.search.max_epochs,  # no trial is stopped early
        "initial_configs": [dict(params) for params in points],
        "sampler": "random",
        "variant": "stop",
        "objectives": [],
        "constraints": {},  # the search has chosen those that keep them
        "warm_start": [],
        "budgets": Budgets(),
    }
    storage = {"path": folder.path(FOLDER), "keep_stopped": False}
    tracking = {"uri": folder.tracking(job).uri} if job.tracking.enabled else {}
    unnamed = job.model_copy(
        update={
            "data": job.data.model_copy(update={"seed": job.split_seed, "fold": fold}),
            "search": job.search.model_copy(update=search),
            "storage": job.storage.model_copy(update=storage),
            "tracking": job.tracking.model_copy(update=tracking),
        }
    )
    identity = [
        unnamed.seed,
        _shared_settings(unnamed),
        unnamed.search.model_dump(mode="json"),
        _code_version(job),
        earlier_runs,
        *([] if fold is None else [fold]),
    ]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    name = f"{job.name[:NAME_CHARS]}-confirm-{digest[:8]}"
    return unnamed.model_copy(update={"name": name, "seed": int(digest[:7], 16)})


def confirm_runs(folder: RunFolder, job: Job) -> Iterator[ConfirmRun]:
    """The confirmations of this run with the job's data, space and epochs, and the model's file as it is now."""
    code = _code_version(job)
    for name in Storage.at(folder.root).folders(FOLDER):
        run = RunFolder(folder.path(FOLDER, name))
        storage = Storage.at(run.root)
        if not storage.exists(JOB_FILE) or (code and storage.list(CODE) != (code,)):
            continue
        run_job = run.job()
        if _shared_settings(run_job) == _shared_settings(job):
            has_ended = len(read_table(run.root, TRIALS)) >= run_job.search.trials
            yield ConfirmRun(run, has_ended, run_job.data.fold)


def trainings_by_point(runs: Sequence[ConfirmRun], metric: str) -> defaultdict[str, list[Training]]:
    """The trainings of these runs by the `point_key` of their parameters.

    Only those count that say something about the configuration: a training that lost its worker does not.
    """
    found: defaultdict[str, list[Training]] = defaultdict(list)
    for run in runs:
        points = run.folder.job().search.initial_configs or []
        _, epochs, trials = read_tables(run.folder.root)
        for row in trials.sort_values("trial_id").itertuples():
            outcome, trial_id = Outcome(str(row.outcome)), str(row.trial_id)
            if outcome is Outcome.COMPLETED or outcome.rules_out_config:
                training = Training(outcome, curve_of(epochs, trial_id, metric), run.fold)
                found[point_key(points[number_of(trial_id)])].append(training)
    return found


def point_key(params: Params) -> str:
    """A text that is the same for equal points of the space."""
    return json.dumps(dict(params), sort_keys=True)


def _shared_settings(job: Job) -> list[Any]:
    """What trainings must have in common to be compared; images may have moved, but not changed."""
    data = job.data.model_dump(mode="json", exclude={"path", "seed", "fold"})
    return [data, job.space.model_dump(mode="json"), job.search.max_epochs, job.split_seed]


def _code_version(job: Job) -> str | None:
    return code_name(pack_source(job.family))
