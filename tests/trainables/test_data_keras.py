"""keras.datasets work offline once their files lie where Keras keeps them."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spaces.problem import InputError
from trainables.data import DataSpec, load

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
COUNTS = {"train": 60, "t10k": 20}


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Keras cache with a small Fashion-MNIST in it, in the format of the original."""
    folder = tmp_path / "keras" / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for name, count in COUNTS.items():
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + pixels.tobytes()))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + labels.tobytes()))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


@pytest.mark.usefixtures("keras_home")
def test_a_set_in_keras_cache_is_read_without_loading_keras_here(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from trainables.data import DataSpec, load\n"
        f"found = load(DataSpec('fashion_mnist'), Path({str(tmp_path / 'cache')!r}))\n"
        "print(found.counts, found.classes[0], 'keras' in sys.modules, 'tensorflow' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split("\n")[-2] == "{'train': 50, 'val': 10, 'test': 20} T-shirt/top False False"

    dataset = load(DataSpec("fashion_mnist"), tmp_path / "cache")
    assert dataset.image_shape == (28, 28, 1)
    original = np.random.default_rng(20).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert np.array_equal(dataset.test().images[..., 0], original)


@pytest.mark.usefixtures("keras_home")
def test_a_set_keras_cannot_get_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(
        InputError, match=r"data\.source: Keras could not load mnist: .*; a network connection, or"
    ):
        load(DataSpec("mnist"), tmp_path / "cache")
