"""A user's file reaches machines that do not have it, as it was when the search began."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from toprung.spaces.errors import InputError
from toprung.spaces.user_code.references import resolve
from toprung.spaces.user_code.source_files import SourceFile, pack_source, unpack_source


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()


def test_a_file_that_is_gone_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "shipped_family_one.py"
    file.write_text("class Mine:\n    answer = 'é 42'\n")
    sent = pickle.loads(pickle.dumps(pack_source(f"{file}:Mine")))
    file.unlink()
    reference = unpack_source(sent)
    assert reference == unpack_source(sent), "once a node"
    assert resolve(reference, "space.name").answer == "é 42"


def test_a_file_that_has_changed_since_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "shipped_family_two.py"
    file.write_text("answer = 1\n")
    sent = pack_source(f"{file}:answer")
    assert unpack_source(sent) == f"{file}:answer"
    file.write_text("answer = 2\n")
    assert resolve(unpack_source(sent), "space.name") == 1


def test_names_of_ours_and_of_modules_travel_as_they_are() -> None:
    for name in ("cnn", "package.module:Family"):
        assert unpack_source(pack_source(name)) == name
        assert pack_source(name) == SourceFile(name, None)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match=r"space\.name: cannot read nowhere\.py"):
        pack_source("nowhere.py:Family")


def test_many_workers_may_arrive_at_once(tmp_path: Path) -> None:
    source = "answer = 7\n" * 1000
    script = (
        "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from toprung.spaces.user_code.source_files import SourceFile, unpack_source\n"
        "from toprung.spaces.user_code.references import resolve\n"
        f"assert resolve(unpack_source(SourceFile('/gone/shipped_three.py:answer', {source!r})), 'x') == 7"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=Path(__file__).parents[3])
        for _ in range(4)
    ]
    assert [process.wait(60) for process in started] == [0] * 4
