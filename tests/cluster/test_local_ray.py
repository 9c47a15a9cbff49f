"""A Ray on this machine: the processes it has, a home folder that may not be written, and the tokens of users."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from toprung.cluster.local_ray import provide_local_token

STARTED = """
import json, psutil, ray
from toprung.cluster.local_ray import start_local_ray
start_local_ray(2)
answer = ray.get(ray.remote(lambda: 7).remote())
print(json.dumps([answer, [" ".join(child.cmdline()) for child in psutil.Process().children()]]))
"""
NAMES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@pytest.fixture
def token_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str | None]:
    """The token that Ray is given with this home folder and this environment; None for none."""

    def given(home: Path, **environment: str) -> str | None:
        for name in NAMES:
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        for name, value in {"HOME": str(home), **environment}.items():
            monkeypatch.setenv(name, value)
        provide_local_token()
        return os.environ.get("RAY_AUTH_TOKEN")

    return given


@pytest.fixture
def no_home(tmp_path: Path) -> Path:
    """A home folder that nobody can make or write, not even root."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "home"


def test_a_home_that_may_not_be_written_has_each_process_make_a_token(token_at, no_home: Path) -> None:
    first, second = token_at(no_home), token_at(no_home)
    assert first is not None and second is not None
    assert len(first) == 64 and first != second


def test_ray_keeps_its_token_at_home_where_it_can(token_at, tmp_path: Path) -> None:
    assert token_at(tmp_path) is None
    assert token_at(tmp_path / "to be made") is None
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("1" * 64)
    assert token_at(tmp_path) is None


def test_what_the_user_has_set_is_left(token_at, no_home: Path) -> None:
    assert token_at(no_home, RAY_AUTH_MODE="disabled") is None
    assert token_at(no_home, RAY_AUTH_TOKEN_PATH="/mine") is None
    assert token_at(no_home, RAY_AUTH_TOKEN="2" * 64) == "2" * 64
    assert token_at(no_home, RAY_AUTH_MODE="token") is not None


@pytest.mark.slow
def test_ray_runs_tasks_without_the_processes_that_a_search_does_not_use() -> None:
    ended = subprocess.run([sys.executable, "-P", "-c", STARTED], capture_output=True, text=True, timeout=240)
    assert ended.returncode == 0, ended.stderr
    answer, commands = json.loads(ended.stdout.splitlines()[-1])
    assert answer == 7
    assert any("raylet" in command for command in commands)
    unused = "dashboard.py", "log_monitor.py", "monitor.py"
    assert [command for command in commands if any(name in command for name in unused)] == []


@pytest.mark.slow
def test_a_search_needs_no_home_that_may_be_written(toprung, job_file, no_home: Path) -> None:
    job = job_file(search={"trials": 1, "max_epochs": 1})
    ended = toprung("search", job, env={"HOME": str(no_home), **dict.fromkeys(NAMES[1:], "")}).wait()
    assert ended.returncode == 0, ended.stderr
