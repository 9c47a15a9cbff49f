"""A run folder belongs to one job: it is continued by that job, and by no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from toprung.results.tables.parts import read_table
from toprung.results.tables.rows import proposal_row
from toprung.results.tables.schema import run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.results.tracking.mlflow.sqlite import sqlite_file
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError
from toprung.spaces.user_code.source_files import SourceFile
from toprung.trainables.system.storage import Storage


def job(tmp_path: Path, **content: Any) -> Job:
    return Job.from_dict(
        {"name": "a", "data": "digits", "storage": {"path": str(tmp_path)}, **content}, "job"
    )


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


def test_other_images_are_refused_from_the_first_proposal_on_and_the_run_stays_as_it_is(
    tmp_path: Path,
) -> None:
    mine, others = job(tmp_path), job(tmp_path, data={"source": "digits", "path": "elsewhere"})
    folder = RunFolder(mine.run_root)
    with folder.claim(mine, "a" * 20) as lock, RunWriter(folder.root, run_schemas({}), lock=lock) as writer:
        writer.append("proposals", proposal_row("t00000", {}, 0, data_fingerprint="a" * 20))
    with pytest.raises(InputError, match="not those of"):
        folder.claim(others, "b" * 20)
    assert folder.job() == mine
    folder.claim(mine, "a" * 20).release()


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


AWKWARD = 'it\'s a "run" 100% %20?x=1#2\n;&'


@pytest.fixture(params=["awkward folder", "file URI", "s3"])
def stored(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose runs stand in a place that takes care to name."""
    monkeypatch.chdir(tmp_path)
    if request.param == "s3":
        path = request.getfixturevalue("s3").uri("runs/")
    else:
        path = str(tmp_path / AWKWARD) if "folder" in request.param else (tmp_path / AWKWARD).as_uri()
    return job(tmp_path, storage={"path": path})


def test_a_run_may_stand_anywhere(stored: Job, tmp_path: Path) -> None:
    folder = RunFolder(stored.run_root)
    assert folder.name == "a"
    with folder.claim(stored) as lock, RunWriter(folder.root, run_schemas({}), lock=lock) as writer:
        writer.append("proposals", proposal_row("t00000", {}, 0, data_fingerprint="f"))
        with pytest.raises(InputError, match="another search"):
            folder.claim(stored)
    assert folder.keep_code(SourceFile("my_models.py:Mine", "a = 1\n")) is None
    again = RunFolder(RunFolder(stored.run_root).root)
    assert again.job() == stored
    assert read_table(again.root, "proposals")["run"].tolist() == ["a"]
    confirming = RunFolder(again.path("confirm", "b"))
    confirming.claim(stored).release()
    assert Storage.at(folder.root).exists("confirm/b/job.yaml")
    assert Storage.at(folder.root).folders("") == (
        "code",
        "confirm",
        "epochs",
        "proposals",
        "rungs",
        "space",
        "trials",
    )
    assert {path.name for path in tmp_path.iterdir()} <= {AWKWARD}, "nothing is left elsewhere"


def test_mlflow_stands_in_a_local_run_and_beside_the_working_folder_for_a_store(
    stored: Job, tmp_path: Path
) -> None:
    folder = RunFolder(stored.run_root)
    database = sqlite_file(folder.tracking(stored).uri)
    here = tmp_path / ("runs" if folder.root.startswith("s3://") else AWKWARD) / "a"
    assert database == here / "mlflow.db" and here.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [here.parent.name]


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


def test_each_version_of_the_models_file_is_kept_and_a_change_is_told(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path / "run"))
    first, second = SourceFile("my_models.py:Mine", "a = 1\n"), SourceFile("my_models.py:Mine", "a = 2\n")
    assert folder.keep_code(SourceFile("cnn")) is None
    assert [folder.keep_code(first), folder.keep_code(first)] == [None, None]
    line = folder.keep_code(second)
    assert line is not None and line.startswith("my_models.py has changed")
    kept = sorted(path.read_text() for path in (tmp_path / "run" / "code").iterdir())
    assert kept == ["a = 1\n", "a = 2\n"]


def test_a_version_that_is_kept_is_found_by_its_fingerprint_with_the_modules_beside_it(
    tmp_path: Path,
) -> None:
    folder = RunFolder(str(tmp_path / "run"))
    code = SourceFile(
        "my_models.py:Mine", "import parts.deep\n", {"parts/deep.py": "b = 2\n", "c.py": "c = 'ü'\n"}
    )
    folder.keep_code(code)
    assert folder.kept_code("elsewhere/my_models.py:Mine", code.fingerprint) == SourceFile(
        "elsewhere/my_models.py:Mine", code.source, code.siblings
    )
    assert folder.kept_code("my_models.py:Mine", "0" * 64) is None
    for file in (tmp_path / "run" / "code").rglob("c.py"):
        file.write_text("c = 3\n")
    assert folder.kept_code("my_models.py:Mine", code.fingerprint) is None, "damaged"
