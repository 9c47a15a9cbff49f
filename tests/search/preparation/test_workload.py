"""What the trials of a search will be like, estimated from its job."""

from __future__ import annotations

import pytest

from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import prepare
from toprung.search.preparation.workload import expected_epochs, typical_workload


def test_expected_epochs_of_a_ladder_by_hand() -> None:
    # 27 trials for one epoch, 9 for two more, 3 for six more, 1 for eighteen more.
    assert expected_epochs(27, (1, 3, 9, 27), 3) == 27 + 9 * 2 + 3 * 6 + 18


@pytest.mark.parametrize(("workers", "examples"), [(1, 40), (4, 10), (100, 1)])
def test_there_are_as_many_examples_as_a_worker_trains_trials(job_file, workers: int, examples: int) -> None:
    job = Job.from_file(job_file(space={"fixed": {"blocks": 1}}, search={"trials": 40, "max_epochs": 9}))
    workload = typical_workload(prepare(job), workers)
    assert workload.epochs == expected_epochs(40, (1, 3, 9), 3) / 40
    assert len(workload.examples) == examples
    assert {example["blocks"] for example in workload.examples} == {1}
    assert len({example["learning_rate"] for example in workload.examples}) == examples
