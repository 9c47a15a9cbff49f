"""What a job may ask of its machines: GPUs, and a storage that outlives a Ray job."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from toprung.search.jobs.schema import Job
from toprung.search.preparation.job_placement import (
    RAY_JOB_VARIABLE,
    as_in_its_run,
    check_gpus,
    check_storage_outlives_job,
    check_trackers,
    placement_problems,
    with_epochs,
)
from toprung.search.preparation.prepare import prepare
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError


def job_of(storage: object = "runs", **resources: Any) -> Job:
    content = {"name": "a", "data": "digits", "storage": {"path": str(storage)}, "resources": resources}
    return Job.from_dict(content, "job")


@pytest.mark.parametrize("gpus", [0, 0.5, 1, "auto"])
def test_a_trial_may_have_one_gpu_or_less(gpus: Any) -> None:
    check_gpus(job_of(gpus=gpus))


def test_several_gpus_of_a_trial_are_refused_with_the_reason_before_anything_starts() -> None:
    with pytest.raises(
        InputError, match=r"^resources\.gpus: 2 given; must be at most 1 until a trial can use several"
    ):
        prepare(job_of(gpus=2))


@pytest.mark.parametrize(
    ("path", "in_job", "in_copy", "is_refused"),
    [
        ("runs", True, False, True),
        ("runs", False, True, True),
        ("runs", False, False, False),
        ("/shared/runs", True, True, False),
        ("~/runs", True, True, False),
        ("s3://bucket/runs", True, True, False),
    ],
)
def test_a_relative_storage_path_is_refused_inside_a_ray_job(
    path: str, in_job: bool, in_copy: bool, is_refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ("_ray_pkg_1a2b" if in_copy else "work")
    copy.mkdir()
    monkeypatch.chdir(copy)
    if in_job:
        monkeypatch.setenv(RAY_JOB_VARIABLE, "{}")
    if not is_refused:
        check_storage_outlives_job(job_of(path))
        return
    with pytest.raises(
        InputError, match=r"'runs' is relative .* Ray deletes; .*--set storage\.path=/shared/runs$"
    ):
        check_storage_outlives_job(job_of(path))


def test_a_run_goes_on_with_the_gpus_it_began_with_unless_the_job_names_others(tmp_path: Path) -> None:
    assert as_in_its_run(job_of(tmp_path)).resources.gpus == "auto", "there is no run yet"
    begun = job_of(tmp_path, gpus=0)
    RunFolder(begun.run_root).claim(begun).release()
    assert as_in_its_run(job_of(tmp_path)).resources.gpus == 0.0
    assert as_in_its_run(job_of(tmp_path).overridden(["search.trials=9"])).resources.gpus == 0.0
    for gpus in ("auto", 0.5):
        assert as_in_its_run(job_of(tmp_path, gpus=gpus)).resources.gpus == gpus


def test_a_run_goes_on_with_the_epochs_that_were_measured_for_it(tmp_path: Path) -> None:
    def timed(**search: Any) -> Job:
        return Job.from_dict(
            {
                "name": "a",
                "data": "digits",
                "storage": {"path": str(tmp_path)},
                "search": {"budgets": {"wall_clock_hours": 1}, **search},
            },
            "job",
        )

    assert as_in_its_run(timed()).search.leaves_epochs_open, "there is no run yet"
    begun = with_epochs(timed(), 13)
    assert not begun.search.leaves_epochs_open
    RunFolder(begun.run_root).claim(begun).release()
    continued = as_in_its_run(timed())
    assert continued.search.max_epochs == 13 and not continued.search.leaves_epochs_open
    RunFolder(begun.run_root).check_same(continued)
    assert as_in_its_run(timed(max_epochs=9)).search.max_epochs == 9, (
        "what the job names is compared, not replaced"
    )


def test_a_storage_that_does_not_answer_is_left_to_whoever_opens_the_run(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "job.yaml").write_text("no: job")
    assert as_in_its_run(job_of(tmp_path)).resources.gpus == "auto"


def test_a_tracker_whose_package_is_missing_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else there(name))
    content = {"name": "a", "data": "digits", "tracking": {"also": ["tensorboard", "wandb"]}}
    with pytest.raises(InputError) as caught:
        check_trackers(Job.from_dict(content, "job"))
    told = "tracking.also: Weights & Biases needs wandb, which is not installed; pip install wandb"
    assert str(caught.value) == told


@pytest.mark.parametrize("backend", ["torch", "foo"])
def test_a_backend_that_trains_nothing_here_is_told_before_the_first_trial(
    monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    problems = [
        str(problem) for problem in placement_problems(Job.from_dict({"name": "a", "data": "digits"}))
    ]
    assert problems == [f"KERAS_BACKEND or ~/.keras/keras.json: {backend!r}; must be tensorflow or jax"]
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert not [*placement_problems(Job.from_dict({"name": "a", "data": "digits"}))]
