"""The script that `ray submit` copies to the head, run as a file in a home folder made for the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "cluster" / "submit.py"
ECHO = """#!{python}
import json, os, sys
print(json.dumps([sys.argv, dict(os.environ)]))
"""


@dataclass(frozen=True)
class Head:
    """A home folder with the script in it, as `ray submit` leaves it."""

    home: Path

    def install(self, folder: str) -> str:
        """Put a command named toprung, which prints its arguments and variables, into a folder of the home."""
        program = self.home / folder / "toprung"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(ECHO.format(python=sys.executable))
        program.chmod(0o755)
        return str(program)

    def submit(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {"HOME": str(self.home), "PATH": str(self.home / "bin"), "OMP_NUM_THREADS": "1", **variables}
        command = [sys.executable, "submit.py", *arguments]
        return subprocess.run(command, env=env, cwd=self.home, capture_output=True, text=True, check=False)

    def command(self, *arguments: str, **variables: str) -> list[str]:
        return list(json.loads(self.submit(*arguments, **variables).stdout)[0])

    def variables(self, **variables: str) -> dict[str, str]:
        return dict(json.loads(self.submit("status", "run", **variables).stdout)[1])


@pytest.fixture
def head(tmp_path: Path) -> Head:
    shutil.copy(SCRIPT, tmp_path / "submit.py")
    (tmp_path / "job.yaml").write_text("name: digits\n")
    return Head(tmp_path)


def test_the_command_is_the_named_one_then_the_set_up_one_then_one_of_the_path(head: Head) -> None:
    on_path = head.install("bin")
    assert head.command("status", "run")[0] == on_path
    set_up = head.install("toprung-venv/bin")
    assert head.command("status", "run")[0] == set_up
    named = head.install("elsewhere")
    assert head.command("status", "run", TOPRUNG=named)[0] == named


def test_without_toprung_it_ends_with_one_line(head: Head) -> None:
    ended = head.submit("search", "job.yaml")
    assert ended.returncode == 2 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert "ray up" in line and "TOPRUNG" in line and os.uname().nodename in line


def test_a_named_command_that_is_not_there_is_told_in_one_line(head: Head) -> None:
    ended = head.submit("search", "job.yaml", TOPRUNG="/nowhere/toprung")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "/nowhere/toprung" in line


@pytest.mark.parametrize(
    ("arguments", "added"),
    [
        (["search", "job.yaml"], ["--address", "auto"]),
        (["search", "job.yaml", "--set", "search.trials=4"], ["--address", "auto"]),
        (["retrain", "runs/digits"], ["--address", "auto"]),
        (["search", "job.yaml", "--address", "10.0.0.1:6379"], []),
        (["retrain", "runs/digits", "--address=auto"], []),
        (["check", "job.yaml"], []),
        (["status", "runs/digits"], []),
        (["--help"], []),
        ([], []),
    ],
)
def test_commands_that_train_join_the_cluster(head: Head, arguments: list[str], added: list[str]) -> None:
    head.install("bin")
    assert head.command(*arguments)[1:] == [*arguments, *added]


def test_the_exit_code_is_the_commands_own(head: Head) -> None:
    program = Path(head.install("bin"))
    program.write_text(f"#!{sys.executable}\nraise SystemExit(130)\n")
    assert head.submit("search", "job.yaml").returncode == 130


@pytest.mark.parametrize("command", ["check", "simulate", "search"])
def test_a_job_that_was_not_copied_names_the_command_that_copies_it(head: Head, command: str) -> None:
    head.install("bin")
    ended = head.submit(command, "jobs/my_job.yaml")
    assert ended.returncode == 2 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert "ray rsync-up CLUSTER.yaml jobs/my_job.yaml jobs/my_job.yaml" in line and str(head.home) in line


def test_the_thread_limit_of_ray_submit_is_taken_away(head: Head) -> None:
    head.install("bin")
    assert "OMP_NUM_THREADS" not in head.variables()


def test_the_clusters_token_is_found(head: Head) -> None:
    head.install("bin")
    assert not [name for name in head.variables() if name.startswith("RAY_AUTH")]
    token = head.home / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("0" * 64)
    found = head.variables()
    assert (found["RAY_AUTH_MODE"], found["RAY_AUTH_TOKEN_PATH"]) == ("token", str(token))
    assert head.variables(RAY_AUTH_MODE="disabled")["RAY_AUTH_MODE"] == "disabled"
    assert "RAY_AUTH_TOKEN_PATH" not in head.variables(RAY_AUTH_TOKEN="1" * 64)
    assert head.variables(RAY_AUTH_TOKEN_PATH="/mine")["RAY_AUTH_TOKEN_PATH"] == "/mine"
