"""A wheel of toprung: what is in it, and that it works where it alone is installed."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
DIST_INFO = f"toprung-{PROJECT['project']['version']}.dist-info"
# Package -> the folder that holds its code.
PARTS = {name.removeprefix("toprung."): ROOT / folder for name, folder in SETUPTOOLS["package-dir"].items()}


def source_files() -> set[str]:
    """Every file of the packages, named as in the wheel."""
    return {
        f"toprung/{part}/{path.relative_to(folder)}"
        for part, folder in PARTS.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the build backend itself, without an index, from a copy of the source tree."""
    copy, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for folder in PARTS.values():
        shutil.copytree(folder, copy / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-P", "-c", build, str(built)], cwd=copy, check=True, stdout=subprocess.DEVNULL
    )
    (made,) = built.iterdir()
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `toprung` command of a new environment that has the wheel and, by a .pth file, the libraries of this one."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    new = {path.name for path in packages.iterdir()}
    assert new == {"toprung", DIST_INFO}, "site-packages gets toprung and nothing else"
    (packages / "libraries.pth").write_text("\n".join(libraries))
    return environment / "bin" / "toprung"


def outside(folder: Path) -> dict[str, Any]:
    """Settings for a process that finds toprung where it is installed and nowhere else."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {"cwd": folder, "env": {**env, "PYTHONNOUSERSITE": "1"}, "check": False, "text": True}


def test_the_packages_listed_are_the_folders_that_hold_python_files() -> None:
    found = {
        ".".join(["toprung", part, *path.parent.relative_to(folder).parts])
        for part, folder in PARTS.items()
        for path in folder.rglob("*.py")
    }
    assert sorted(SETUPTOOLS["packages"]) == sorted(found)
    assert len(set(SETUPTOOLS["packages"])) == len(SETUPTOOLS["packages"])
    for part, folder in PARTS.items():
        missing = [path.parent for path in folder.rglob("*.py") if not (path.parent / "__init__.py").exists()]
        assert not missing, f"{part}: a folder without __init__.py is no package"


def test_the_type_checker_sees_the_same_packages() -> None:
    assert {f"toprung.{part}" for part in PARTS} == set(PROJECT["tool"]["mypy"]["packages"])
    linked = {path.name: path.resolve() for path in (ROOT / ".mypy" / "toprung").iterdir()}
    assert linked == PARTS


@pytest.mark.slow
def test_the_wheel_holds_every_source_file_under_toprung_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    code = {name for name in names if not name.startswith(DIST_INFO)}
    assert code == source_files()


@pytest.mark.slow
def test_the_command_of_the_wheel_starts_within_half_a_second(installed: Path, tmp_path: Path) -> None:
    subprocess.run([installed, "--help"], stdout=subprocess.PIPE, **outside(tmp_path))  # compiles the modules
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run([installed, "--help"], stdout=subprocess.PIPE, **outside(tmp_path))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.returncode == 0
    assert "retrain" in shown.stdout
    # Processor time: the clock would also count what else runs on the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.slow
def test_the_wheel_alone_checks_and_searches_a_job(
    installed: Path, job_file: Callable[..., Path], tmp_path: Path
) -> None:
    where = "import toprung.search, toprung.trainables; print(toprung.search.__file__)"
    python = installed.parent / "python"
    loaded = subprocess.run([python, "-c", where], stdout=subprocess.PIPE, **outside(tmp_path))
    assert loaded.stdout.startswith(str(installed.parent.parent)), "the wheel is used, not the checkout"

    job = job_file("wheel", search={"trials": 2, "max_epochs": 1}, tracking={"enabled": True})
    for arguments in (["check", job], ["search", job], ["table", tmp_path / "runs" / "wheel"]):
        ended = subprocess.run([installed, *arguments], capture_output=True, **outside(tmp_path))
        assert ended.returncode == 0, ended.stderr
    assert "t00001" in ended.stdout
