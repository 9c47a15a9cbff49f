"""Who may import whom, and what the top level holds: the folders are the architecture."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "spaces": set(),
    "trainables": {"spaces"},
    "cluster": {"trainables", "spaces"},
    "results": {"trainables", "spaces"},
    "search": {"cluster", "results", "trainables", "spaces"},
}
LAZY = {"tensorflow", "keras", "ray", "mlflow", "jax"}
NEVER = {"results": {"tensorflow", "keras", "ray"}, "spaces": {"tensorflow", "keras", "ray", "mlflow"}}
FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute, so that an arrow can be read off the line"
        return [(node.module or "").partition(".")[0]]
    return []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    used = {name for node in ast.walk(ast.parse(path.read_text())) for name in imported_names(node)}
    upwards = (used & set(MAY_IMPORT)) - MAY_IMPORT[package] - {package}
    assert not upwards, f"{package} must not import {upwards}"
    assert not used & NEVER.get(package, set())
    assert "tests" not in used


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 320, "split it: one idea a file"
    assert path.stem not in {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def test_top_level_is_what_the_user_fixed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    if not listed:
        pytest.skip("not a git checkout")
    top = {line.partition("/")[0] for line in listed.splitlines()}
    allowed = {*MAY_IMPORT, "tests", "pyproject.toml", "README.md", "LICENSE"}
    assert {name for name in top if not name.startswith(".")} <= allowed


def test_what_help_and_spaces_need_loads_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from toprung.spaces.families import registry\n"
        "from toprung.trainables.models import family\n"
        "from toprung.trainables.optimization import recipe\n"
        "from toprung.trainables.backend import engine\n"
        "from toprung.trainables.task import task\n"
        "print(sorted({'tensorflow', 'keras', 'jax', 'optuna', 'numpy'} & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == "[]"
