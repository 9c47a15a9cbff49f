"""A run folder belongs to one job: it is continued by that job, and by no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from results.rows import TrialFacts, trial_row
from results.schema import TRIALS, run_schemas
from results.tables import RunWriter
from search.extend import load_extended
from search.job import JobSpec
from search.jobfile import parse_job
from search.runfolder import RunFolder
from spaces.problem import InputError
from trainables.report import Outcome


def job(tmp_path: Path, **content: Any) -> JobSpec:
    return parse_job({"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}, **content}, "job")


def test_the_effective_job_is_read_back_from_the_folder(tmp_path: Path) -> None:
    mine = job(tmp_path, search={"trials": 7})
    folder = RunFolder(mine.run_root)
    folder.claim(mine).release()
    assert folder.job() == mine
    assert folder.root == str(tmp_path / "a")


def test_more_budget_other_resources_and_moved_images_continue_the_run(tmp_path: Path) -> None:
    folder = RunFolder(job(tmp_path).run_root)
    folder.claim(job(tmp_path)).release()
    more = job(tmp_path, search={"trials": 99, "budgets": {"epochs": 5}}, resources={"cpus": 2})
    folder.claim(more).release()
    assert folder.job().search.trials == 99


def test_another_job_is_told_each_difference_and_the_run_stays_as_it_is(tmp_path: Path) -> None:
    folder = RunFolder(job(tmp_path).run_root)
    folder.claim(job(tmp_path)).release()
    with pytest.raises(InputError) as caught:
        folder.claim(
            job(tmp_path, seed=5, search={"max_epochs": 3}, space={"fixed": {"filters": 16}})
        ).release()
    lines = [str(problem) for problem in caught.value.problems]
    assert [line.split(":")[0] for line in lines] == [
        "search.max_epochs",
        "seed",
        "space.fixed.filters",
    ]
    assert "belongs to another job" in lines[0]
    assert folder.job() == job(tmp_path)


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must be a run folder"):
        RunFolder(str(tmp_path)).job()


def test_a_storage_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    mine = job(tmp_path, storage={"path": str(tmp_path / "file")})
    with pytest.raises(InputError, match=r"storage\.path: .* cannot be written"):
        RunFolder(mine.run_root).claim(mine)


def test_a_second_search_is_refused_before_it_changes_anything(tmp_path: Path) -> None:
    folder = RunFolder(job(tmp_path).run_root)
    lock = folder.claim(job(tmp_path))
    with pytest.raises(InputError, match="another search"):
        folder.claim(job(tmp_path, search={"trials": 99}))
    assert folder.job() == job(tmp_path)
    lock.release()


def test_more_trials_are_added_once_the_earlier_ones_have_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        yaml.safe_dump({"data": "digits", "storage": {"path": str(tmp_path)}, "search": {"trials": 2}})
    )
    more = ["search.trials=+3"]
    assert load_extended(path, more).search.trials == 5, "a new run has as many more"
    folder = RunFolder(str(tmp_path / "a"))
    folder.claim(load_extended(path)).release()
    assert load_extended(path, more).search.trials == 2, "its own trials have not ended"
    with RunWriter(folder.root, run_schemas({})) as writer:
        for trial_id in ("t00000", "t00001"):
            writer.append(TRIALS, trial_row(trial_id, {}, Outcome.STOPPED, [], TrialFacts()))
    extended = load_extended(path, more)
    assert extended.search.trials == 5
    folder.claim(extended).release()
    assert load_extended(path, more).search.trials == 5, "interrupted, and the same command typed again"


def test_an_addition_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("data: digits")
    with pytest.raises(InputError, match="must be a number"):
        load_extended(path, ["search.trials=+many"])
