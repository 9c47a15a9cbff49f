"""User code is found by reference, and a file's name never matters to anything else."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from toprung.spaces.errors import InputError
from toprung.spaces.user_code.references import (
    file_of,
    instance,
    is_reference,
    resolve,
    with_absolute_path,
)

CODE = (
    "import dataclasses\n@dataclasses.dataclass\nclass Mine:\n    width: int = 3\nanswer = 42\n_hidden = 1\n"
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, code: str = CODE) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
        return path

    return write


def refused(reference: str) -> str:
    with pytest.raises(InputError) as caught:
        resolve(reference, "space.name")
    (problem,) = caught.value.problems
    assert problem.where == "space.name"
    assert "\n" not in str(problem)
    return str(problem)


def test_a_file_gives_its_object_and_its_classes_can_be_pickled(write: Callable[..., Path]) -> None:
    mine = resolve(f"{write('mine.py')}:Mine", "space.name")
    assert pickle.loads(pickle.dumps(mine(5))) == mine(5)
    assert mine.__module__.startswith("toprung_user_mine_")


def test_a_file_runs_once_for_each_content(write: Callable[..., Path]) -> None:
    path = write("mine.py")
    first = resolve(f"{path}:Mine", "space.name")
    assert resolve(f"{path}:Mine", "space.name") is first
    write("mine.py", CODE.replace("42", "43"))  # of the same length, and perhaps in the same second
    assert resolve(f"{path}:answer", "space.name") == 43


@pytest.mark.parametrize("name", ["numpy.py", "json.py", "spaces.py", "toprung.py", "my model-2.0.py"])
def test_a_file_may_have_any_name(name: str, write: Callable[..., Path]) -> None:
    before = dict(sys.modules)
    assert resolve(f"{write(name)}:answer", "space.name") == 42
    (added,) = set(sys.modules) - set(before)
    assert added.startswith("toprung_user_") and added.isidentifier()
    assert all(sys.modules[key] is module for key, module in before.items())


def test_two_files_of_one_name_do_not_collide(write: Callable[..., Path]) -> None:
    one, other = write("one/mine.py"), write("other/mine.py", CODE.replace("42", "43"))
    assert resolve(f"{one}:answer", "space.name") == 42
    assert resolve(f"{other}:answer", "space.name") == 43
    assert resolve(f"{one}:answer", "space.name") == 42


def test_copies_of_a_file_each_know_their_own_folder(write: Callable[..., Path]) -> None:
    code = "from pathlib import Path\nhere = Path(__file__).parent\n"
    one, other = write("one/mine.py", code), write("other/mine.py", code)
    for path in (one, other, one):
        assert resolve(f"{path}:here", "space.name") == path.parent


def test_the_folder_of_a_file_is_not_searched_for_modules(write: Callable[..., Path]) -> None:
    write("colorsys.py", "raise SystemExit('the file beside it was executed')\n")
    path = write("mine.py", "import colorsys\nhue = colorsys.rgb_to_hls\n")
    before = list(sys.path)
    assert resolve(f"{path}:hue", "space.name")(0, 0, 0) == (0.0, 0.0, 0.0)
    assert sys.path == before


def test_a_files_own_future_imports_and_encoding_hold(write: Callable[..., Path]) -> None:
    path = write("mine.py")
    path.write_bytes("# -*- coding: latin-1 -*-\ndef f(x: int = 1): ...\nname = 'Bär'\n".encode("latin-1"))
    assert resolve(f"{path}:name", "space.name") == "Bär"
    annotations = resolve(f"{path}:f", "space.name").__annotations__
    assert annotations == {"x": int}, "ours, which makes annotations text, is not inherited"


def test_a_module_is_found_in_the_working_directory(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("module_of_this_test.py")
    monkeypatch.chdir(path.parent)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert resolve("module_of_this_test:answer", "space.name") == 42
    assert file_of("module_of_this_test:answer", "space.name") == path


def test_what_is_not_there_is_refused_with_what_is(write: Callable[..., Path]) -> None:
    path = write("mine.py")
    assert "has no 'mine'; did you mean \"Mine\"?" in refused(f"{path}:mine")
    assert "has no 'zzz'; it defines dataclasses, Mine, answer" in refused(f"{path}:zzz")
    assert "no file nowhere.py; give a path from" in refused("nowhere.py:Mine")
    assert "no module 'nowhere'; it is searched in" in refused("nowhere:Mine")
    assert 'write "module:name" or "file.py:name"' in refused("mine.py")


def test_code_that_fails_is_refused_and_tried_again_once_it_is_mended(write: Callable[..., Path]) -> None:
    path = write("mine.py", "1 / 0\n")
    for _ in range(2):
        assert "fails to load: ZeroDivisionError" in refused(f"{path}:answer")
    write("mine.py", "def broken(:\n")
    assert "fails to load: SyntaxError" in refused(f"{path}:answer")
    write("mine.py")
    assert resolve(f"{path}:answer", "space.name") == 42


def test_the_file_of_a_reference_is_found_without_running_it(write: Callable[..., Path]) -> None:
    path = write("mine.py", "1 / 0\n")
    assert file_of(f"{path}:answer", "data.source") == path
    assert file_of("json.decoder:JSONDecoder", "data.source").name == "decoder.py"
    for reference in ("nowhere.py:images", "nowhere:images", "nowhere.deeper:images", "sys:path"):
        with pytest.raises(InputError, match=r"data\.source: no (file|module)"):
            file_of(reference, "data.source")


def test_a_class_is_made_without_arguments_and_anything_else_is_left() -> None:
    assert instance(dict, "builtins:dict", "space.name") == {}
    assert instance(len, "builtins:len", "space.name") is len
    with pytest.raises(InputError, match=r"cannot be made: .*without arguments"):
        instance(memoryview, "builtins:memoryview", "space.name")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a.py:f", True), ("a.b:f", True), ("a:", False), (":f", False), ("digits", False), ("C:/x", False)],
)
def test_a_reference_is_a_location_and_a_name(text: str, expected: bool) -> None:
    assert is_reference(text) is expected


def test_a_reference_to_a_file_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert with_absolute_path("mine.py:Mine") == f"{tmp_path}/mine.py:Mine"
    assert [with_absolute_path(text) for text in ("package.module:Mine", "cnn", "")] == [
        "package.module:Mine",
        "cnn",
        "",
    ]


def test_files_with_the_names_of_our_parts_are_never_executed(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    """Spaces and images are loaded beside them, with the folder first on the path of modules."""
    for name in ("search", "spaces", "trainables", "results", "cluster", "tests"):
        write(f"{name}.py", f"open({str(tmp_path / 'executed')!r}, 'a').write(__name__)\n")
    write(
        "images.py", "import numpy\ndef load(): return numpy.zeros((12, 4, 4), 'u1'), numpy.arange(12) % 2\n"
    )
    code = (
        "from pathlib import Path\n"
        "from toprung.spaces.families.registry import load_space\n"
        "from toprung.trainables.data.dataset import DataSpec, load\n"
        "load_space('cnn'), load_space('transfer')\n"
        "print(sum(load(DataSpec('images.py:load'), Path('cache')).counts.values()))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert finished.stdout == "12\n"
    assert not (tmp_path / "executed").exists()
