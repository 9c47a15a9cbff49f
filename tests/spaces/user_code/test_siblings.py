"""A user's file may import modules beside it, here and on machines that have neither."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from toprung.spaces.errors import InputError
from toprung.spaces.user_code import source_files
from toprung.spaces.user_code.references import resolve
from toprung.spaces.user_code.source_files import pack_source, private_folder, unpack_source


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    private_folder.cache_clear()
    return tmp_path / "scratch"


def write(folder: Path, width: int = 3) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "toprung_test_blocks").mkdir(exist_ok=True)
    (folder / "toprung_test_blocks" / "__init__.py").write_text("from .wide import WIDTH\n")
    (folder / "toprung_test_blocks" / "wide.py").write_text(f"WIDTH = {width}\n")
    (folder / "toprung_test_layers.py").write_text(
        "import json\n\ndef width():\n    from toprung_test_blocks import WIDTH\n    return WIDTH\n"
    )
    (folder / "json.py").write_text("raise RuntimeError('not this one')\n")
    (folder / "unrelated.py").write_text("raise RuntimeError('never imported')\n")
    (folder / "mine.py").write_text("import toprung_test_layers\n\nwidth = toprung_test_layers.width\n")
    return f"{folder / 'mine.py'}:width"


def test_what_a_file_imports_travels_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    code = pack_source(write(folder))
    assert list(code.siblings) == [
        "toprung_test_blocks/__init__.py", "toprung_test_blocks/wide.py", "toprung_test_layers.py"
    ]  # fmt: skip
    folder.rename(tmp_path / "gone")
    assert resolve(unpack_source(code), "space.name")() == 3


def test_each_file_gets_the_modules_of_its_own_folder_as_they_are_now(tmp_path: Path) -> None:
    first, second = write(tmp_path / "a", 1), write(tmp_path / "b", 2)
    assert [resolve(name, "space.name")() for name in (first, second)] == [1, 2]
    before = pack_source(first).fingerprint
    write(tmp_path / "a", 30)
    assert resolve(first, "space.name")() == 30
    assert pack_source(first).fingerprint != before


def test_modules_beside_a_file_have_a_limit(tmp_path: Path) -> None:
    name = write(tmp_path / "a")
    (tmp_path / "a" / "toprung_test_layers.py").write_text("x = 1\n" * 300_000)
    with pytest.raises(
        InputError, match=r"imports 1,800,0\d\d bytes of modules beside it; must be 1,048,576"
    ):
        pack_source(name)


@pytest.mark.parametrize("how", ["others may write", "a link", "another user's"])
def test_received_code_is_kept_where_only_this_user_writes(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    code = pack_source(write(tmp_path / "a"))
    (tmp_path / "a" / "mine.py").unlink()
    taken = scratch / f"toprung-code-{os.getuid()}"
    if how == "a link":
        (tmp_path / "open").mkdir(mode=0o700)
        taken.symlink_to(tmp_path / "open")
    else:
        taken.mkdir(mode=0o700)
        taken.chmod(0o777 if how == "others may write" else 0o700)
    if how == "another user's":
        monkeypatch.setattr(source_files.os, "getuid", lambda: os.geteuid() + 1)
        taken.rename(scratch / f"toprung-code-{os.geteuid() + 1}")
    reference = unpack_source(code)
    assert not reference.startswith(f"{scratch}/toprung-code-{os.geteuid()}/")
    assert stat.S_IMODE(Path(private_folder()).stat().st_mode) == 0o700
    private_folder.cache_clear()


def test_received_code_is_loaded_from_the_text_that_was_received(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("answer = 1\n")
    code = pack_source(f"{file}:answer")
    file.unlink()
    reference = unpack_source(code)
    Path(reference.rpartition(":")[0]).write_text("answer = 'of somebody else'\n")
    assert resolve(reference, "space.name") == 1


@pytest.mark.parametrize(
    "code", ["raise SystemExit(3)", "raise BaseException('odd')", "import sys; sys.exit()"]
)
def test_code_that_ends_the_process_is_told(tmp_path: Path, code: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"{code}\n")
    with pytest.raises(InputError, match=r"mine\.py fails to load: "):
        resolve(f"{file}:answer", "space.name")
