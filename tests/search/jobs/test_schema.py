"""A job from Python: a file, a dict and keywords are the same job, with the same problems."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import yaml

from toprung.search.jobs.schema import Job
from toprung.spaces.errors import InputError
from toprung.trainables.trial.trial_id import AS_MANY_AS_FIT

CONTENT = {"name": "digits", "data": "digits", "space": "transfer", "search": {"trials": 8}}


def test_a_file_a_dict_and_keywords_make_the_same_job(tmp_path: Path) -> None:
    file = tmp_path / "digits.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in CONTENT.items() if key != "name"}))
    job = Job(name="digits", data="digits", space="transfer", search={"trials": 8})
    assert Job.from_dict(CONTENT) == Job.from_file(file) == Job.from_file(str(file)) == job
    assert (job.data.source, job.space.name, job.search.trials) == ("digits", "transfer", 8)
    assert Job.from_file(file, ["search.trials=9", "name=other"]) == job.overridden(
        ["search.trials=9", "name=other"]
    )
    assert Job.from_dict(yaml.safe_load(job.to_yaml())) == job
    assert pickle.loads(pickle.dumps(job)) == job


def test_sections_may_be_given_as_objects() -> None:
    job = Job(**CONTENT)
    assert Job(name="digits", data=job.data, space=job.space, search=job.search) == job


def test_every_problem_of_keywords_and_of_a_dict_is_reported_at_once() -> None:
    wrong = {"data": "digits", "serch": {}, "search": {"trials": -3}, 7: 1}
    with pytest.raises(InputError) as keywords:
        Job(data="digits", serch={}, search={"trials": -3}, **{"7": 1})
    with pytest.raises(InputError) as mapping:
        Job.from_dict(wrong, "notebook")
    lines = [str(problem) for problem in keywords.value.problems]
    assert [line.split(":")[0] for line in lines] == ["name", "search.trials", "serch", "7"]
    assert lines[1] == "search.trials: -3 given; must be greater than 0"
    assert 'did you mean "search"?' in lines[2]
    assert [str(problem) for problem in mapping.value.problems] == [f"notebook: {line}" for line in lines]


def test_trials_cannot_be_added_where_the_run_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("data: digits")
    with pytest.raises(InputError, match=r"--set search.trials: '\+4' given; must be a number here"):
        Job.from_file(file, ["search.trials=+4"])


@pytest.mark.parametrize(
    ("search", "trials"),
    [
        ({}, 32),
        ({"budgets": {"wall_clock_hours": 0.1}}, AS_MANY_AS_FIT),
        ({"budgets": {"gpu_hours": 8}}, AS_MANY_AS_FIT),
        ({"budgets": {"wall_clock_hours": None, "epochs": 100}}, 32),
        ({"budgets": {"wall_clock_hours": 0.1}, "trials": 5}, 5),
    ],
)
def test_where_trials_is_left_out_hours_decide(search: dict[str, object], trials: int) -> None:
    job = Job(name="timed", data="digits", search=search)
    assert job.search.trials == trials
    assert job.search.is_ended_by_hours == (trials == AS_MANY_AS_FIT)
    assert Job.from_dict(yaml.safe_load(job.to_yaml())) == job
