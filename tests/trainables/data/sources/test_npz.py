"""NPZ files are read in blocks: the same data set as from memory, however they were written, and little memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from toprung.trainables.data.dataset import DataSpec, check, load

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[4]
MIB = 2**20
WAYS: dict[str, Callable[..., None]] = {
    "stored": np.savez,
    "compressed": np.savez_compressed,
    "in Fortran order": lambda path, images, **more: np.savez(path, images=np.asfortranarray(images), **more),
}
PREPARE = """
import os, resource, sys
from pathlib import Path
from toprung.trainables.data.dataset import DataSpec, load

os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])  # one decoding thread: each would add its stack
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
most_bytes = int(status["VmData"].split()[0]) * 1024 + int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
print(sum(load(DataSpec("npz", sys.argv[1]), Path(sys.argv[2])).counts.values()))
"""


def arrays(count: int = 90) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 9, 7, 3), dtype=np.uint8)
    images[count // 2] = images[0]
    return {"images": images, "labels": np.arange(count) % 3}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pick", [..., (..., slice(1)), (..., 0)], ids=["colour", "one channel", "grey"])
def test_a_file_read_in_blocks_is_the_data_set_that_its_arrays_are(
    way: str, pick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "toprung.trainables.data.sources.npz.BLOCK_BYTES", 7 * 9 * 7 * 3
    )  # seven images, so the last block is short
    content = arrays()
    content["images"] = np.ascontiguousarray(content["images"][pick])
    np.savez(tmp_path / "set.npz", **content)
    (tmp_path / "memory.py").write_text(
        "import numpy, pathlib\n"
        "found = numpy.load(pathlib.Path(__file__).with_name('set.npz'))\n"
        "def arrays():\n    return found['images'], found['labels']\n"
    )
    expected = load(DataSpec(f"{tmp_path / 'memory.py'}:arrays"), tmp_path / "cache")

    WAYS[way](tmp_path / "other.npz", **content)
    dataset = load(DataSpec("npz", str(tmp_path / "other.npz")), tmp_path / "cache")
    assert dataset.fingerprint == expected.fingerprint
    assert dataset.class_counts == expected.class_counts
    assert dataset.duplicates_across_splits.count == expected.duplicates_across_splits.count
    for own, other in zip((dataset.train(), dataset.val()), (expected.train(), expected.val()), strict=True):
        assert np.array_equal(own.images, other.images)
        assert np.array_equal(own.labels, other.labels)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a limit on a process's memory is Linux's")
@pytest.mark.parametrize("way", WAYS)
def test_a_file_larger_than_the_memory_is_prepared(way: str, tmp_path: Path) -> None:
    images = np.zeros((600, 256, 256, 3), np.uint8)
    assert images.nbytes > 110 * MIB
    path = tmp_path / "set.npz"
    WAYS[way](path, images=images, labels=np.arange(600) % 3)
    try:
        finished = subprocess.run(
            [sys.executable, "-c", PREPARE, str(path), str(tmp_path / "cache"), str(64 * MIB)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.stdout == "600\n", finished.stderr
    finally:
        for file in (path, *tmp_path.glob("cache/*/*.npy")):
            file.unlink()  # pytest keeps its last folders


def test_class_names_may_be_bytes(tmp_path: Path, problem_of) -> None:
    names = ["cat", "Bär", "猫"]
    np.savez(tmp_path / "set.npz", **arrays(), classes=[name.encode() for name in names])
    assert load(DataSpec("npz", str(tmp_path / "set.npz")), tmp_path / "cache").classes == tuple(names)

    np.savez(tmp_path / "set.npz", **arrays(), classes=[name.encode("utf-16") for name in names])
    where, text = problem_of(DataSpec("npz", str(tmp_path / "set.npz")), tmp_path / "cache")
    assert where == "data.path"
    assert "'utf-8' codec can't decode" in text


def damaged(tmp_path: Path) -> DataSpec:
    path = tmp_path / "set.npz"
    np.savez(path, **arrays())
    content = bytearray(path.read_bytes())
    content[5000] ^= 255
    path.write_bytes(content)
    return DataSpec("npz", str(path))


def short(tmp_path: Path) -> DataSpec:
    """The array of images ends before its header says."""
    from zipfile import ZipFile

    content = arrays()
    np.save(tmp_path / "images.npy", content["images"])
    np.savez(tmp_path / "set.npz", labels=content["labels"])
    with ZipFile(tmp_path / "set.npz", "a") as file:
        file.writestr("images.npy", (tmp_path / "images.npy").read_bytes()[:-100])
    return DataSpec("npz", str(tmp_path / "set.npz"))


@pytest.mark.parametrize(
    ("make", "reason"),
    [(damaged, "Bad CRC-32 for file 'images.npy'"), (short, "in the middle of its images")],
)
def test_damage_that_shows_while_images_are_read_is_told_in_one_line(
    make: Callable[[Path], DataSpec], reason: str, tmp_path: Path, problem_of
) -> None:
    where, text = problem_of(make(tmp_path), tmp_path / "cache")
    assert where == "data.path"
    assert "set.npz cannot be read (" in text and reason in text


def test_an_array_that_is_not_used_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **arrays(), notes=np.array([None, {"taken": "in May"}]))
    assert check(DataSpec("npz", str(tmp_path / "set.npz"))) == ()
