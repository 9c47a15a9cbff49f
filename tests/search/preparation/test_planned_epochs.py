"""The epochs of a full training, where the job leaves them to its budget of time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from toprung.cluster.session import Capacity
from toprung.search.jobs.schema import Job
from toprung.search.jobs.search_section import Budgets, SearchSection
from toprung.search.preparation.planned_epochs import (
    MAX_EPOCHS,
    ROOT_FACTOR,
    epochs_at_once,
    epochs_within,
    too_short,
    training_secs,
)

HOUR = {"budgets": {"wall_clock_hours": 1}}


@pytest.mark.parametrize(
    ("search", "is_open"),
    [
        (HOUR, True),
        ({"budgets": {"gpu_hours": 1}}, True),
        ({**HOUR, "max_epochs": 27}, False),
        ({"budgets": {"epochs": 100}}, False),
        ({}, False),
    ],
)
def test_a_budget_of_time_decides_where_the_job_names_no_epochs(
    search: dict[str, Any], is_open: bool
) -> None:
    assert SearchSection.model_validate(search).leaves_epochs_open == is_open


def test_a_job_with_its_epochs_written_out_stays_as_it_is() -> None:
    job = Job(name="a", data="digits", search=HOUR)
    again = Job.from_dict(yaml.safe_load(job.to_yaml()), "job.yaml")
    assert job.search.leaves_epochs_open and not again.search.leaves_epochs_open


def test_epochs_and_trainings_grow_together() -> None:
    assert epochs_within(training_secs=100 * 3.0, epoch_secs=3.0) == int(ROOT_FACTOR * 10)
    assert epochs_within(training_secs=400 * 3.0, epoch_secs=3.0) == int(ROOT_FACTOR * 20)


def test_a_budget_that_compares_nothing_is_told_with_what_would() -> None:
    assert too_short(paid_epochs=60.0, epochs=15) == ""
    told = too_short(paid_epochs=16.0, epochs=9)
    assert "pays for 1.8 full trainings" in told and told.endswith("give it 3 times as much")
    needed = 3 * 16.0
    assert too_short(needed, epochs_within(needed, 1.0, fewest=9)) == ""


@given(st.floats(1e-3, 1e7), st.floats(1e-4, 1e5), st.integers(1, 200))
def test_epochs_rank_something_and_do_not_grow_without_end(
    secs: float, epoch_secs: float, fewest: int
) -> None:
    epochs = epochs_within(secs, epoch_secs, fewest)
    assert max(3, fewest) <= epochs <= max(MAX_EPOCHS, fewest)
    assert epochs_within(2 * secs, epoch_secs, fewest) >= epochs


def test_the_budget_that_ends_first_counts() -> None:
    hours = Budgets(wall_clock_hours=2.0, gpu_hours=1.0)
    assert training_secs(hours, at_once=4) == 3600.0, "two hours on four GPUs are eight GPU hours"
    assert training_secs(hours, at_once=0.25) == 1800.0
    assert training_secs(Budgets(wall_clock_hours=2.0), at_once=4) == 8 * 3600.0


@pytest.mark.parametrize(
    ("share", "gpus", "expected"),
    [
        (0.0, 0.0, 8.0),  # a worker a core
        (None, 0.0, 8.0),
        (None, 2.0, 2.0),  # what a share of a GPU trains is not known yet, a whole one is measured
        (0.25, 0.0, 2.0),
        (1.0, 0.0, 8.0),
    ],
)
def test_workers_that_share_a_gpu_train_no_faster_together_than_one_that_has_it(
    share: float | None, gpus: float, expected: float
) -> None:
    assert epochs_at_once(Capacity(8, proposes_early=True), share, gpus) == expected


@pytest.mark.slow
def test_a_search_measures_an_epoch_once_and_goes_on_with_what_it_found(
    on_cluster: Any, job_file: Any, tmp_path: Path
) -> None:
    job, run = job_file(search={"trials": 3}), tmp_path / "runs" / "small"
    content = yaml.safe_load(job.read_text())
    del content["search"]["max_epochs"]
    content["search"]["budgets"] = {"wall_clock_hours": 0.01}
    job.write_text(yaml.safe_dump(content))
    first = on_cluster("search", job).wait()
    assert first.returncode == 0, first.stderr
    told = first.stdout + first.stderr
    assert "an epoch of the first configuration takes" in told
    measured = yaml.safe_load((run / "job.yaml").read_text())["search"]["max_epochs"]
    assert f"search.max_epochs {measured}:" in told
    more = on_cluster("search", job, "--set", "search.trials=4").wait()
    assert more.returncode == 0, more.stderr
    assert "an epoch of the first" not in more.stdout + more.stderr
    assert yaml.safe_load((run / "job.yaml").read_text())["search"]["max_epochs"] == measured
