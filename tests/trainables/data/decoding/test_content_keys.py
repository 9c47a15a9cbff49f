"""The keys of an image are those of its content: equal for copies anywhere, others with another seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from toprung.trainables.data.decoding.content_keys import content_keys
from toprung.trainables.data.sources.arrays import ArrayImages
from toprung.trainables.data.sources.folder import FileImages

KNOWN = [0.15505617750842526, 0.9684880564559517]


def files(root: Path, contents: list[bytes]) -> FileImages:
    root.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
        (root / f"{number}.png").write_bytes(content)
    return FileImages(root, tuple(f"{number}.png" for number in range(len(contents))))


def test_copies_have_equal_keys_whatever_they_are_called(tmp_path: Path) -> None:
    contents = [bytes([number % 50]) * 9 for number in range(200)]
    keys = content_keys(files(tmp_path / "a", contents), 0)
    assert keys.shape == (200, 2)
    assert np.array_equal(keys[:50], keys[50:100])
    assert np.array_equal(content_keys(files(tmp_path / "b", contents[::-1]), 0), keys[::-1])
    assert len(np.unique(keys)) == 100


def test_another_seed_gives_other_keys(tmp_path: Path) -> None:
    images = files(tmp_path / "a", [b"one", b"two"])
    assert not np.intersect1d(content_keys(images, 0), content_keys(images, 1)).size


def test_keys_are_uniform_and_independent() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4000, 4, 4, 1), dtype=np.uint8)
    keys = content_keys(ArrayImages(pixels, "noise"), 3)
    assert keys.min() >= 0.0 and keys.max() < 1.0
    # The mean of 4,000 uniform numbers has a standard deviation of 0.0046, their correlation one of 0.016.
    assert keys.mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.02)
    assert np.corrcoef(keys.T)[0, 1] == pytest.approx(0.0, abs=0.07)


def test_a_file_that_cannot_be_read_has_keys_too(tmp_path: Path) -> None:
    images = FileImages(tmp_path, ("gone.png",))
    assert content_keys(images, 0).shape == (1, 2)


def test_the_shape_of_an_array_counts() -> None:
    flat = np.zeros((1, 2, 8, 1), np.uint8)
    assert not np.array_equal(
        content_keys(ArrayImages(flat, ""), 0), content_keys(ArrayImages(flat.reshape(1, 4, 4, 1), ""), 0)
    )


def test_the_keys_of_a_known_content_never_change(tmp_path: Path) -> None:
    """A run goes on with the splits that its first trials had, and a test image stays one for ever."""
    keys = content_keys(files(tmp_path / "a", [b"known"]), 7)
    assert keys.tolist() == [KNOWN]
