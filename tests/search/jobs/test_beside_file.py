"""Files that a job names are found in the working folder, else beside the job file; a line says where was looked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from toprung.search.jobs.schema import Job
from toprung.search.runs.extended_job import load_extended
from toprung.spaces.errors import InputError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a job with its files, beside the empty working folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    home = tmp_path / "a: project"
    (home / "photos").mkdir(parents=True)
    for name in ("models.py", "samplers.py", "net.weights.h5"):
        (home / name).touch()
    return home


def job_in(home: Path, **sections: Any) -> Path:
    (home / "job.yaml").write_text(yaml.safe_dump({"data": "digits", **sections}))
    return home / "job.yaml"


EVERYTHING = {
    "data": {"path": "photos"},
    "space": {"name": "./models.py:Mine", "fixed": {"weights": "net.weights.h5"}},
    "search": {"sampler": "samplers.py:mine"},
}


def test_files_beside_the_job_file_are_found(home: Path) -> None:
    job = load_extended(job_in(home, **EVERYTHING))
    assert job.data.path == str(home / "photos")
    assert job.space.name == f"{home / 'models.py'}:Mine"
    assert job.space.fixed["weights"] == str(home / "net.weights.h5")
    assert job.search.sampler == f"{home / 'samplers.py'}:mine"


def test_the_working_folder_goes_first(home: Path) -> None:
    Path("photos").mkdir()
    Path("models.py").touch()
    job = load_extended(job_in(home, **EVERYTHING))
    assert job.data.path == "photos"
    assert job.space.name == "./models.py:Mine"
    assert job.search.sampler == f"{home / 'samplers.py'}:mine"


def test_what_names_no_relative_file_stays_as_it_is(home: Path) -> None:
    sections = {
        "data": {"path": "s3://bucket/photos", "source": "module:function"},
        "space": {"name": "transfer", "fixed": {"weights": "imagenet"}},
        "search": {"sampler": "tpe"},
    }
    job = load_extended(job_in(home, **sections))
    assert (job.data.path, job.data.source) == ("s3://bucket/photos", "module:function")
    assert job.space.fixed == {"weights": "imagenet"}


def test_a_file_in_neither_folder_is_told_with_both(home: Path) -> None:
    missing = {
        "data": {"path": "nowhere"},
        "space": "none.py:Mine",
        "search": {"sampler": "x.py:f"},
    }
    file = job_in(home, **missing)
    with pytest.raises(InputError) as caught:
        load_extended(file)
    assert [problem.where for problem in caught.value.problems] == [
        "data.path",
        "space.name",
        "search.sampler",
    ]
    places = f"is not in {Path.cwd()} (the working folder) or in {home} (beside the job file)"
    assert all(places in str(problem) for problem in caught.value.problems)
    assert Job.from_file(file).data.path == "nowhere", "the job by itself is valid"
    assert load_extended(file, files_needed=False).data.path == "nowhere", "a simulation needs no images"


def test_beside_the_working_folder_there_is_no_other_to_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(InputError, match=r"\(the working folder\); a file or folder that is there$"):
        load_extended(job_in(home, data={"path": "nowhere"}))


def test_a_path_after_set_is_looked_for_likewise(home: Path) -> None:
    assert load_extended(job_in(home), ["data.path=photos"]).data.path == str(home / "photos")
