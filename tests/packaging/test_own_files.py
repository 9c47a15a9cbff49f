"""Users keep files named like the parts of toprung: none of them is run, unless the job names it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest
import yaml

from toprung.spaces.user_code.references import resolve

ROOT = Path(__file__).parents[2]
NAMES = ("search", "spaces", "trainables", "results", "cluster", "tests")
PLACES = ("working folder", "beside the job file", "PYTHONPATH")
COMMANDS = ("check", "search", "retrain", "status", "table")
JOB = {
    "name": "own",
    "data": {"source": "digits", "image_size": 8},
    "space": {"name": "cnn_small", "fixed": {"batch_size": 64}},
    "search": {"trials": 1, "max_epochs": 1},
    "resources": {"concurrent": 1},
}


@dataclass(frozen=True)
class Session:
    """What the commands did in the presence of the files: how each ended, and which files were run by whom."""

    ended: dict[str, subprocess.CompletedProcess[str]]
    executed: str


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folders = {place: tmp_path_factory.mktemp("own") for place in PLACES}
    log = tmp_path_factory.mktemp("log") / "executed"
    code = (
        f"import sys\nopen({str(log)!r}, 'a').write(f'{{__file__}} {{sys.argv}}\\n')\nraise SystemExit(7)\n"
    )
    for folder in folders.values():
        for name in NAMES:
            (folder / f"{name}.py").write_text(code)
    job = folders["beside the job file"] / "job.yaml"
    job.write_text(yaml.safe_dump(JOB))
    environment = {**os.environ, "PYTHONPATH": str(folders["PYTHONPATH"])}
    trap = [sys.executable, "-c", "import search"]
    subprocess.run(trap, cwd=folders["working folder"], env=environment, check=False)
    assert log.exists(), "a file that is run leaves a trace"
    log.unlink()
    # Without -P, as users type it: the working folder is the first place that Python looks in.
    toprung = [sys.executable, "-m", "toprung.search"]
    ended = {}
    for command in COMMANDS:
        target = job if command in ("check", "search") else Path("runs", "own")
        ended[command] = subprocess.run(
            [*toprung, command, str(target)],
            cwd=folders["working folder"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    # A file that was run is named by its folder: say which place that is.
    text = log.read_text() if log.exists() else ""
    for place, folder in folders.items():
        text = text.replace(str(folder), place)
    yield Session(ended, text)


@pytest.mark.slow
def test_every_command_works_beside_files_named_like_its_parts_and_none_of_them_is_run(
    session: Session, subtests: pytest.Subtests
) -> None:
    for command in COMMANDS:
        with subtests.test(command=command):
            assert session.ended[command].returncode == 0, session.ended[command].stderr
    for place, name in product(PLACES, NAMES):
        with subtests.test(place=place, name=name):
            assert f"{place}/{name}.py" not in session.executed, session.executed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("suffix", ["", ".py"])
def test_a_job_may_name_code_in_such_a_file(
    name: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{name}.py").write_text("WIDTHS = (8, 16)\n")
    monkeypatch.chdir(tmp_path)
    # As for an installed command: the checkout, whose folders have these names, is not on the path.
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(ROOT))])
    monkeypatch.delitem(sys.modules, name, raising=False)
    try:
        assert resolve(f"{name}{suffix}:WIDTHS", "space.name") == (8, 16)
    finally:
        sys.modules.pop(name, None)


def python_commands(path: Path) -> list[str]:
    """Every command line in the file that starts a Python process, as source text."""
    lists = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.List)]
    commands = [node for node in lists if node.elts and ast.unparse(node.elts[0]) == "sys.executable"]
    return [ast.unparse(node) for node in commands]


def test_processes_that_toprung_starts_do_not_search_the_working_folder() -> None:
    started = [
        command
        for part in NAMES[:-1]
        for path in (ROOT / part).rglob("*.py")
        for command in python_commands(path)
    ]
    assert len(started) >= 3, "the reaper, the MLflow mirror and the download of Keras's data sets"
    assert [command for command in started if not command.startswith("[sys.executable, '-P', ")] == []
