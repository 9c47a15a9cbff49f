"""The recipes of CONTRIBUTING.md do what they say: each is carried out on a copy of the source tree and used there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text()
PARTS = ("search", "cluster", "results", "trainables", "spaces")


@dataclass(frozen=True)
class Block:
    """A code block of a recipe: a new file, or lines to add to one that is there."""

    language: str
    file: str
    code: str

    def apply(self, package: Path) -> None:
        path = package / self.file
        if self.language == "python":
            assert not path.exists(), f"{self.file} is there already"
            path.write_text(self.code)
        else:
            path.write_text(with_added_lines(path.read_text(), self.code, self.file))


def with_added_lines(text: str, diff: str, file: str) -> str:
    """`text` with each run of "+" lines put below the unmarked line before it, which must be in it once."""
    lines, anchor = text.splitlines(), None
    for line in diff.splitlines():
        if not line.startswith("+"):
            anchor = line.removeprefix(" ")
            assert lines.count(anchor) == 1, f"{file} holds {anchor!r} {lines.count(anchor)} times"
            continue
        assert anchor is not None, f"{file}: a diff begins with a line that is there"
        lines.insert(lines.index(anchor) + 1, line[1:])
        anchor = line[1:]
    return "\n".join(lines) + "\n"


def recipes() -> dict[str, list[Block]]:
    """Title -> the blocks of each recipe under "Adding things"."""
    (_, chapter) = GUIDE.split("\n## Adding things\n")
    sections = re.split(r"^### ", re.split(r"^## ", chapter, flags=re.MULTILINE)[0], flags=re.MULTILINE)[1:]
    fence = re.compile(r"^```(python|diff) (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return {text.partition("\n")[0]: [Block(*found) for found in fence.findall(text)] for text in sections}


RECIPES = recipes()


@pytest.fixture
def carried_out(tmp_path: Path) -> Callable[[str, str], str]:
    """Carry a recipe out on a copy of the source tree and run a program there; returns what it prints."""

    def carry_out(title: str, program: str) -> str:
        package = tmp_path / "copy" / "toprung"
        for part in PARTS:
            shutil.copytree(ROOT / part, package / part, ignore=shutil.ignore_patterns("__pycache__"))
        for block in RECIPES[title]:
            block.apply(package)
        # PYTHONPATH comes before site-packages, and a folder on the path before the finder of an editable install.
        environment = {
            **os.environ,
            "PYTHONPATH": str(package.parent),
            "TOPRUNG_CACHE": str(tmp_path / "cache"),
        }
        guard = f"import toprung.search\nassert toprung.search.__file__.startswith({str(package)!r})\n"
        ended = subprocess.run(
            [sys.executable, "-P", "-c", guard + program],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    return carry_out


def test_a_space(carried_out: Callable[[str, str], str]) -> None:
    program = """
from toprung.spaces.families.registry import load_space
from toprung.spaces.definition.introspection import describe
print(sorted(describe(load_space("one_layer"))))
"""
    assert "filters" in carried_out("A space", program)
