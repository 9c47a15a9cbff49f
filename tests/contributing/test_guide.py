"""CONTRIBUTING.md names files, classes, extras and markers that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
FOLDERS = "search|results|cluster|spaces|trainables|tests"


TEXT = re.sub(r"^```.*?^```", "", GUIDE, flags=re.MULTILINE | re.DOTALL)


def test_every_path_named_exists() -> None:
    named = re.findall(rf"`([\w./-]+\.(?:py|md|toml|txt|yaml)|\.\w+/\w+|(?:{FOLDERS})(?:/\w+)*/?)`", TEXT)
    assert len(named) > 60
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_class_named_exists() -> None:
    named = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]*)*)`", TEXT))
    code = "".join(path.read_text() for name in FOLDERS.split("|") for path in (ROOT / name).rglob("*.py"))
    defined = set(re.findall(r"^class (\w+)", code, flags=re.MULTILINE))
    assert named
    assert named - defined == set()


def test_every_link_leads_somewhere() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", GUIDE)
    assert linked
    assert [name for name in linked if not (ROOT / ".github" / name).exists()] == []


def test_the_extras_and_markers_named_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(re.findall(r"'\.\[(\w+)\]'", GUIDE)) <= set(project["project"]["optional-dependencies"])
    markers = {line.partition(":")[0] for line in project["tool"]["pytest"]["ini_options"]["markers"]}
    assert set(re.findall(r'-m "not (\w+)"', GUIDE)) == markers
