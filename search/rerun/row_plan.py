"""From the row of a trial to what a process needs to train it again: its code, its images, how it was computed."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING

from toprung.search.rerun.environment import Environment
from toprung.search.runs.run_folder import CODE, RunFolder, code_name
from toprung.search.winner.train import micro_batches
from toprung.spaces.errors import InputError
from toprung.spaces.user_code.source_files import SourceFile, pack_source
from toprung.trainables.data.dataset import load
from toprung.trainables.system.store_settings import store_settings
from toprung.trainables.trial.execution import ExecutionPlan
from toprung.trainables.trial.report import CLEAN_TRAIN_ACCURACY
from toprung.trainables.worker.plan import Rules, TrialPlan

if TYPE_CHECKING:
    from toprung.search.jobs.schema import Job
    from toprung.search.rerun.recorded_trial import RecordedTrial
    from toprung.trainables.data.dataset import Dataset


def execution_of(recorded: RecordedTrial, train_images: int) -> ExecutionPlan | None:
    """How the trial was computed, by its row; None where it never was."""
    row = recorded.row
    if not isinstance(row.get("precision"), str):
        return None
    return ExecutionPlan(
        precision=row["precision"],
        xla=bool(row["xla"]),
        steps_per_call=_whole_number(row.get("steps_per_call")),
        micro_batches=micro_batches(row, recorded.config, train_images),
    )


def row_plan(job: Job, recorded: RecordedTrial, code: SourceFile, dataset: Dataset) -> TrialPlan:
    """What the process that trains is told, beside the trial itself; its states are kept nowhere in the run."""
    data, row = job.data_spec(), recorded.row
    rungs = (report.epoch for report in recorded.reports if CLEAN_TRAIN_ACCURACY in report.metrics)
    rules = Rules(
        max_epochs=job.search.max_epochs,
        checkpoint_epochs=frozenset(rungs),
        checkpoint_secs=math.inf,
        objectives=job.search.optimized,
        enforces_bounds=False,  # it was trained, whatever its latency is on this machine
        data_fingerprint=dataset.fingerprint,
        code_fingerprint=code.fingerprint,
    )
    return TrialPlan(
        data=data,
        source=pack_source(data.source, "data.source"),
        family=code,
        checkpoints="",
        rules=rules,
        cpus=_number(row.get("cpus"), job.resources.cpus),
        gpus=_number(row.get("gpus"), 0.0),
        execution=job.resources.execution_request(),
        deterministic=bool(_number(row.get("deterministic"), float(job.resources.deterministic))),
        store_settings=store_settings(),
    )


def code_of(folder: RunFolder, job: Job, recorded: RecordedTrial) -> SourceFile:
    """The model's code in the version that trained the trial: the user's file, or the copy that the run keeps.

    Raises:
        InputError: Neither is of the fingerprint in the row.
    """
    fingerprint = Environment.recorded(recorded.row).code
    if fingerprint and (kept := folder.kept_code(job.family, fingerprint)):
        return kept
    code = pack_source(job.family)
    if fingerprint and code.fingerprint != fingerprint:
        file = job.family.rpartition(":")[0]
        lacking = f"{folder.path(CODE)} lacks the version that trained {recorded.trial_id}"
        given = f"{file} has changed, and {lacking}"
        raise InputError.single("space.name", given, f"must be the file of fingerprint {fingerprint[:8]}")
    return code


def kept_version(folder: RunFolder, job: Job, code: SourceFile) -> str:
    """Where the run keeps this version of the code, if the user's file is another by now; else ""."""
    name = code_name(code)
    try:
        is_current = name is None or pack_source(job.family).fingerprint == code.fingerprint
    except InputError:  # the file is gone
        is_current = False
    return "" if is_current or name is None else folder.path(CODE, name)


def images_of(job: Job, recorded: RecordedTrial) -> Dataset:
    """The images of the job. Raises `InputError` where they are not those that the trial was trained on."""
    dataset, expected = load(job.data_spec()), recorded.data_fingerprint
    if dataset.fingerprint != expected:
        given = f"the images are not those of {recorded.trial_id} (their fingerprint is {dataset.fingerprint[:12]})"
        raise InputError.single("data", given, f"must be those of fingerprint {expected[:12]}")
    return dataset


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, Real) and math.isfinite(value) else default


def _whole_number(value: object) -> int | None:
    number = _number(value, 0.0)
    return int(number) if number else None
