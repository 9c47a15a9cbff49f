"""A cached file is compared with its digest once a process, and the test set again before it is read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from toprung.trainables.data.cache.integrity import (
    MANIFEST,
    DamagedCacheError,
    check_intact,
    is_intact,
    read_manifest,
    write_manifest,
)
from toprung.trainables.data.dataset import DataSpec, load


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    folder = tmp_path / "entry"
    folder.mkdir()
    (folder / "images.npy").write_bytes(bytes(range(256)) * 10)
    (folder / "labels.npy").write_bytes(b"labels")
    write_manifest(folder, {"classes": ["a", "ü"], "count": 3})
    return folder


def flip(file: Path, position: int) -> None:
    """Change one bit; the size stays, and so does the time."""
    status, content = file.stat(), bytearray(file.read_bytes())
    content[position] ^= 4
    replacement = file.with_name("replacement")
    replacement.write_bytes(content)
    import os

    os.utime(replacement, ns=(status.st_atime_ns, status.st_mtime_ns))
    replacement.rename(file)


def test_what_was_written_is_intact(entry: Path) -> None:
    assert is_intact(entry)
    assert read_manifest(entry)["classes"] == ["a", "ü"]
    check_intact(entry, ("images.npy", "labels.npy"))


@pytest.mark.parametrize("position", [0, 1000, 2559])
def test_a_flipped_bit_is_found(entry: Path, position: int) -> None:
    flip(entry / "images.npy", position)
    assert not is_intact(entry)
    with pytest.raises(
        DamagedCacheError, match=r"images\.npy is not as it was written: the same command decodes"
    ):
        check_intact(entry, ("images.npy",))


@pytest.mark.parametrize("position", range(0, 200, 7))
def test_a_flipped_bit_in_the_manifest_is_found(entry: Path, position: int) -> None:
    flip(entry / MANIFEST, position)
    assert not is_intact(entry)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"content": {}, "sha256": 1}', '{"content": []}'])
def test_another_manifest_is_none(entry: Path, text: str) -> None:
    (entry / MANIFEST).write_text(text)
    assert not is_intact(entry)


def test_a_missing_or_shorter_file_is_found(entry: Path) -> None:
    (entry / "labels.npy").write_bytes(b"label")
    assert not is_intact(entry)
    (entry / "labels.npy").unlink()
    assert not is_intact(entry)


def test_a_file_is_read_once_a_process(entry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_intact(entry)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("read again"))
    assert is_intact(entry)


def test_damaged_pixels_are_decoded_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "set.npz",
        images=rng.integers(0, 256, (60, 4, 4), dtype=np.uint8),
        labels=np.arange(60) % 2,
    )
    spec = DataSpec("npz", str(tmp_path / "set.npz"))
    first = load(spec, tmp_path / "cache")
    before = first.train().images.copy()
    flip(first.folder / "train_images.npy", 300)
    assert np.array_equal(load(spec, tmp_path / "cache").train().images, before)


def test_the_test_set_is_compared_again_before_it_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "set.npz",
        images=rng.integers(0, 256, (60, 4, 4), dtype=np.uint8),
        labels=np.arange(60) % 2,
    )
    data = load(DataSpec("npz", str(tmp_path / "set.npz")), tmp_path / "cache")
    assert len(data.test()) == data.counts["test"]
    flip(data.folder / "test_labels.npy", -1)
    assert len(data.train()) == data.counts["train"]
    with pytest.raises(DamagedCacheError, match="test_labels"):
        data.test()


def test_the_manifest_can_be_read_by_people(entry: Path) -> None:
    assert json.loads((entry / MANIFEST).read_text())["content"]["count"] == 3
