"""A user's function as a source: called once, and known by its place and content."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.data.sources.function import FunctionSource

CODE = (
    "import numpy, pathlib\n"
    "def load():\n"
    "    file = numpy.load(pathlib.Path(__file__).with_name('set.npz'))\n"
    "    return file['images'], file['labels']\n"
)


def make(home: Path, shift: int = 0) -> Path:
    """A file with a function that reads the images beside it."""
    home.mkdir(exist_ok=True)
    images = np.random.default_rng(0).integers(0, 200, (12, 4, 4, 3), dtype=np.uint8) + np.uint8(shift)
    np.savez(home / "set.npz", images=images, labels=np.arange(12) % 2)
    (home / "my_images.py").write_text(CODE)
    return home / "my_images.py"


@pytest.mark.parametrize("source", ["my_images:load", "my_images.py:load"])
def test_the_same_function_beside_other_images_is_another_data_set(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprints = set()
    for project, shift in (("one", 0), ("other", 1)):
        monkeypatch.chdir(make(tmp_path / project, shift).parent)
        monkeypatch.syspath_prepend(tmp_path / project)
        monkeypatch.delitem(sys.modules, "my_images", raising=False)
        fingerprints.add(load(DataSpec(source), tmp_path / "cache").fingerprint)
    assert len(fingerprints) == 2


def test_a_module_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(make(tmp_path / "project").parent)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_images", raising=False)
    assert load(DataSpec("my_images:load"), tmp_path / "cache").classes == ("0", "1")


def test_stamps_change_with_place_and_content_and_run_nothing(tmp_path: Path) -> None:
    file = make(tmp_path / "one")
    source = FunctionSource(DataSpec(f"{file}:load"))
    before = source.stamps()
    assert before[0] == str(file)
    file.write_text("1 / 0\n")
    assert source.stamps() != before


def test_a_changed_function_gives_its_new_images(tmp_path: Path) -> None:
    file = make(tmp_path / "one")
    before = load(DataSpec(f"{file}:load"), tmp_path / "cache")
    file.write_text(CODE.replace("file['labels']", "1 - file['labels']"))
    after = load(DataSpec(f"{file}:load"), tmp_path / "cache")
    assert after.fingerprint != before.fingerprint


def test_what_is_no_function_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("images = 3\n")
    with pytest.raises(
        InputError, match=r"data\.source: .*mine\.py:images is no function; a function that returns"
    ):
        FunctionSource(DataSpec(f"{tmp_path / 'mine.py'}:images")).listing()


@pytest.mark.parametrize(
    "end", ["raise SystemExit(4)", "class Own(BaseException): pass\n    raise Own", "raise KeyboardInterrupt"]
)
def test_a_function_that_ends_the_process_is_told_by_name(end: str, tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text(f"def load():\n    {end}\n")
    with pytest.raises(
        InputError, match=r"ends\.py:load fails: (SystemExit: 4|Own|KeyboardInterrupt) \(ends\.py line \d\)"
    ):
        FunctionSource(DataSpec(f"{tmp_path}/ends.py:load")).listing()
