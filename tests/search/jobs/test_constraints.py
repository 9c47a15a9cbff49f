"""`search.constraints` of a job: what is taken, and one line for each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from toprung.search.jobs.schema import Job
from toprung.spaces.errors import InputError
from toprung.trainables.trial.bounds import Bound, Bounds


def job_with(constraints: Any) -> Job:
    return Job(name="job", data="digits", search={"constraints": constraints})


def test_constraints_become_bounds_that_the_saved_job_keeps() -> None:
    job = job_with({"parameter_count": {"max": 1.0e6}, "latency_ms": {"max": 5, "min": 1}})
    expected = Bounds((Bound("latency_ms", 1.0, 5.0), Bound("parameter_count", None, 1e6)))
    assert job.search.optimized.bounds == expected
    again = Job.from_dict({"name": "job", "data": "digits", "search": job.model_dump()["search"]})
    assert again.search.optimized.bounds == expected
    assert job.settings()["search.constraints.latency_ms.max"] == 5.0
    narrower = job.overridden(["search.constraints.latency_ms.max=3", "search.constraints.val_loss.max=1"])
    assert narrower.search.optimized.bounds.metrics == ("latency_ms", "parameter_count", "val_loss")
    assert not Job(name="job", data="digits").search.optimized.bounds


@pytest.mark.parametrize(
    ("constraints", "line"),
    [
        (
            {"latencyms": {"max": 5}},
            "'latencyms' cannot be bounded: did you mean \"latency_ms\"? allowed are val_acc",
        ),
        ({"epoch_secs": {"max": 5}}, "'epoch_secs' cannot be bounded: allowed are val_accuracy"),
        ({"latency_ms": 5}, "search.constraints.latency_ms: 5 given; must be keys and values"),
        ({"latency_ms": None}, "search.constraints.latency_ms: None given; must be keys and values"),
        ({"latency_ms": {}}, "latency_ms: neither min nor max is given"),
        (
            {"latency_ms": {"maxx": 5}},
            'latency_ms.maxx: unknown key; did you mean "max"? allowed are min, max',
        ),
        (
            {"latency_ms": {"max": "fast"}},
            "search.constraints.latency_ms.max: 'fast' given; must be a valid number",
        ),
        ({"latency_ms": {"max": True}}, "search.constraints.latency_ms.max: True given; must be a number"),
        ({"latency_ms": {"max": float("inf")}}, "latency_ms.max: inf given; must be a finite number"),
        ({"latency_ms": {"max": -1}}, "latency_ms.max is -1, and latency_ms is never below 0"),
        ({"latency_ms": {"min": 3, "max": 2}}, "search.constraints.latency_ms: min is 3, and max 2 is less"),
        ({"val_accuracy": {"min": 90}}, "val_accuracy.min is 90, and val_accuracy lies from 0 to 1"),
        ([5], "search.constraints: [5] given; must be keys and values"),
        ("latency_ms", "search.constraints: 'latency_ms' given; must be keys and values"),
    ],
)
def test_a_constraint_that_cannot_be_is_refused_in_one_line(constraints: Any, line: str) -> None:
    with pytest.raises(InputError) as caught:
        job_with(constraints)
    (problem,) = caught.value.problems
    assert line in str(problem) and "\n" not in str(problem)
