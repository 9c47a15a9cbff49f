"""What a job asks of the machines that run it, checked where its own text shows that it cannot be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from toprung.results.tracking.tracker_kinds import TRACKERS
from toprung.search.preparation.tracking_address import check_tracking
from toprung.search.preparation.tuned_epochs import leaves_first_rung_open
from toprung.search.runs.run_folder import JOB_FILE, RunFolder
from toprung.spaces.errors import InputError, Problem
from toprung.trainables.system.imports import BACKENDS, keras_backend
from toprung.trainables.system.storage import Storage
from toprung.trainables.system.uris import is_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.jobs.schema import Job

RAY_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The environment variable that Ray sets for the command of a Ray job."""
RAY_COPY = "_ray_pkg_"
"""What the folder that Ray copies a job's working folder to begins with."""


def placement_problems(job: Job) -> Iterator[Problem]:
    """What a job asks that can be had nowhere: of a machine, of its storage, of MLflow."""
    checks = (
        check_backend,
        check_gpus,
        check_storage_outlives_job,
        check_storage,
        check_tracking,
        check_trackers,
    )
    for check in checks:
        try:
            check(job)
        except InputError as error:
            yield from error.problems


def check_backend(_: Job) -> None:
    """Raise `InputError` where Keras would compute with a backend that trains nothing here."""
    backend = keras_backend()
    if backend not in BACKENDS:
        raise InputError.single(
            "KERAS_BACKEND or ~/.keras/keras.json", repr(backend), f"must be {' or '.join(BACKENDS)}"
        )


def check_gpus(job: Job) -> None:
    """Raise `InputError` for more than one GPU of a trial."""
    gpus = job.resources.gpus
    if gpus != "auto" and gpus > 1:
        raise InputError.single(
            "resources.gpus",
            f"{gpus:g} given",
            "must be at most 1 until a trial can use several: it computes on one, and the others would be idle",
        )


def check_storage_outlives_job(job: Job) -> None:
    """Raise `InputError` for a relative `storage.path` inside a Ray job, whose working folder is a copy."""
    path = job.storage.path
    in_job = RAY_JOB_VARIABLE in os.environ or RAY_COPY in str(Path.cwd())
    if in_job and not is_uri(path) and not Path(path).expanduser().is_absolute():
        raise InputError.single(
            "storage.path",
            f"{path!r} is relative to the working folder of this Ray job, a copy that Ray deletes",
            "must be an absolute path that every node shares, or a URI such as s3://bucket/runs: "
            "--set storage.path=/shared/runs",
        )


def check_storage(job: Job) -> None:
    """Raise `InputError` where the run folder could not be made or written."""
    RunFolder(job.run_root).check_writable()


def check_trackers(job: Job) -> None:
    """Raise `InputError` for each tracker of `tracking.also` whose package is not installed here."""
    missing = [TRACKERS[name] for name in job.tracking.also if not TRACKERS[name].is_installed]
    if missing:
        raise InputError(
            Problem(
                "tracking.also",
                f"{kind.title} needs {kind.install}, which is not installed",
                f"pip install {kind.install}",
            )
            for kind in missing
        )


def as_in_its_run(job: Job) -> Job:
    """The job with the GPUs, the epochs and the first rung of the run that it continues, where it leaves them open.

    A run goes on as it began: the GPUs were 0 by default before they were auto, the first rung was 1 in every space,
    and the epochs may have been measured.
    """
    leaves_gpus_open = "gpus" not in job.resources.model_fields_set
    leaves_rung_open = leaves_first_rung_open(job)
    if not (leaves_gpus_open or leaves_rung_open or job.search.leaves_epochs_open):
        return job
    folder = RunFolder(job.run_root)
    with suppress(OSError, InputError):  # what is wrong with the folder is reported where it is claimed
        if Storage.at(folder.root).exists(JOB_FILE):
            begun = folder.job()
            if leaves_gpus_open:
                resources = job.resources.model_copy(update={"gpus": begun.resources.gpus})
                job = job.model_copy(update={"resources": resources})
            if leaves_rung_open:
                search = job.search.model_copy(update={"min_epochs": begun.search.min_epochs})
                job = job.model_copy(update={"search": search})
            if job.search.leaves_epochs_open:
                job = with_epochs(job, begun.search.max_epochs)
    return job


def with_epochs(job: Job, max_epochs: int) -> Job:
    """The job as if it named the epochs of a full training."""
    return job.model_copy(update={"search": job.search.model_copy(update={"max_epochs": max_epochs})})
