"""The first rung and the fewest epochs of searches whose trials begin with the head alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.search.jobs.schema import Job
from toprung.search.preparation.job_placement import as_in_its_run
from toprung.search.preparation.prepare import prepare
from toprung.search.preparation.tuned_epochs import fewest_epochs, first_rung, leaves_first_rung_open
from toprung.search.runs.run_folder import RunFolder

UNTRAINED = {"weights": "none", "head_epochs": 3}


def job_of(folder: Path, space: Any = "transfer", **search: Any) -> Job:
    content = {"name": "a", "data": "digits", "space": space, "storage": {"path": str(folder)}}
    return Job.from_dict({**content, "search": {"max_epochs": 9, **search}}, "job")


@given(st.integers(1, 200), st.integers(0, 9))
def test_the_first_rung_lies_beyond_every_head_and_not_beyond_the_training(
    max_epochs: int, head: int
) -> None:
    rung = first_rung([{"head_epochs": 0}, {"head_epochs": head}], max_epochs)
    assert 1 <= rung <= max_epochs
    assert rung > head or rung == max_epochs


def test_a_rung_waits_for_a_third_of_the_tuning() -> None:
    assert [first_rung([{"head_epochs": 1}], epochs) for epochs in (1, 2, 3, 4, 9, 28)] == [1, 2, 2, 2, 4, 10]
    assert first_rung([UNTRAINED], 9) == 1, "a network without weights trains as a whole from the start"


def test_a_full_training_leaves_epochs_to_tune_in() -> None:
    assert fewest_epochs([{"head_epochs": 1}]) == 9
    assert fewest_epochs([{"head_epochs": 0}]) == fewest_epochs([UNTRAINED]) == 1


@pytest.mark.parametrize(
    ("space", "search", "rungs"),
    [
        ("transfer", {}, (4, 9)),
        ("transfer", {"max_epochs": 28}, (10, 28)),
        ("transfer", {"min_epochs": 1}, (1, 3, 9)),
        ({"name": "transfer", "fixed": {"head_epochs": 3}}, {}, (5, 9)),
        ({"name": "transfer", "ranges": {"head_epochs": [0, 3]}}, {}, (5, 9)),
        ({"name": "transfer", "fixed": {"weights": "none"}}, {}, (1, 3, 9)),
        ("cnn", {}, (1, 3, 9)),
    ],
)
def test_the_rungs_of_a_job_compare_what_tunes_the_network(
    tmp_path: Path, space: Any, search: dict[str, Any], rungs: tuple[int, ...]
) -> None:
    prepared = prepare(job_of(tmp_path, space, **search))
    assert prepared.strategy.rung_epochs == rungs
    assert prepared.job.search.min_epochs == rungs[0]


def test_a_run_goes_on_with_the_first_rung_it_began_with(tmp_path: Path) -> None:
    assert leaves_first_rung_open(as_in_its_run(job_of(tmp_path))), "there is no run yet"
    begun = job_of(tmp_path, min_epochs=1)  # as every search began once
    RunFolder(begun.run_root).claim(begun).release()
    assert prepare(job_of(tmp_path)).strategy.rung_epochs == (1, 3, 9)
    assert as_in_its_run(job_of(tmp_path, min_epochs=3)).search.min_epochs == 3, (
        "what the job names is compared"
    )
