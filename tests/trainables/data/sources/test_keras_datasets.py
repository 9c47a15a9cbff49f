"""keras.datasets work offline once their files lie where Keras keeps them."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, load

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[4]
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
    monkeypatch.setenv(
        "KERAS_BACKEND", "numpy"
    )  # the process that reads starts in half the time of TensorFlow's
    return tmp_path / "keras"


@pytest.mark.usefixtures("keras_home")
def test_a_set_in_keras_cache_is_read_without_loading_keras_here(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from toprung.trainables.data.dataset import DataSpec, load\n"
        f"data = load(DataSpec('fashion_mnist'), Path({str(tmp_path / 'cache')!r}))\n"
        "print(data.counts, data.classes[0], 'keras' in sys.modules, 'tensorflow' in sys.modules)"
    )
    environment = dict(os.environ)
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    dataset = load(DataSpec("fashion_mnist"), tmp_path / "cache")
    assert finished.stdout.split("\n")[-2] == f"{dataset.counts} T-shirt/top False False"
    assert dataset.counts["train"] + dataset.counts["val"] == 60
    assert dataset.image_shape == (28, 28, 1)
    original = np.random.default_rng(20).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    assert np.array_equal(dataset.test().images[..., 0], original)


@pytest.mark.usefixtures("keras_home")
def test_a_set_keras_cannot_get_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(
        InputError, match=r"data\.source: Keras could not load mnist: .*; a network connection, or"
    ):
        load(DataSpec("mnist"), tmp_path / "cache")


@pytest.fixture
def unchecked(keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same cache, where Keras checks no sums: a small stand-in cannot have that of the original."""
    (tmp_path / "patched").mkdir()
    code = "import keras.src.utils.file_utils as files\nfiles.validate_file = lambda *_, **__: True\n"
    (tmp_path / "patched" / "sitecustomize.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "patched"))
    return keras_home / "datasets"


def images_of(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


def pack(archive: Path, files: dict[str, dict[bytes, object]]) -> None:
    """A tar of pickles, as the authors of CIFAR lay theirs out."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            packed = pickle.dumps(content)
            entry = tarfile.TarInfo(name)
            entry.size = len(packed)
            tar.addfile(entry, io.BytesIO(packed))


def test_mnist_is_read_from_keras_cache(unchecked: Path, tmp_path: Path) -> None:
    train, test = images_of(40, 28, 28), images_of(20, 28, 28)
    labels = {"y_train": np.arange(40) % 10, "y_test": np.arange(20) % 10}
    np.savez(unchecked / "mnist.npz", x_train=train, x_test=test, **labels)
    dataset = load(DataSpec("mnist"), tmp_path / "cache")
    assert (dataset.image_shape, dataset.classes) == ((28, 28, 1), tuple("0123456789"))
    assert np.array_equal(dataset.test().images[..., 0], test)
    assert dataset.counts["train"] + dataset.counts["val"] == 40 and dataset.counts["test"] == 20


def test_cifar100_is_read_from_keras_cache(unchecked: Path, tmp_path: Path) -> None:
    pixels = {"train": images_of(300, 3, 32, 32), "test": images_of(100, 3, 32, 32)}
    files = {
        f"cifar-100-python/{name}": {
            b"data": own.reshape(len(own), -1),
            b"fine_labels": [row % 100 for row in range(len(own))],
        }
        for name, own in pixels.items()
    }
    pack(unchecked / "cifar-100-python-target_archive", files)
    dataset = load(DataSpec("cifar100"), tmp_path / "cache")
    assert (dataset.image_shape, len(dataset.classes)) == ((32, 32, 3), 100)
    assert np.array_equal(dataset.test().images, pixels["test"].transpose(0, 2, 3, 1))
    assert load(DataSpec("cifar100"), tmp_path / "cache").folder == dataset.folder


def test_cifar10_is_read_from_keras_cache(unchecked: Path, tmp_path: Path) -> None:
    data = np.zeros((10_000, 3072), np.uint8)  # Keras wants batches of this size
    data[:, :4] = np.arange(10_000, dtype=np.uint32)[:, None].view(np.uint8)  # no two images are equal
    data[:20] = images_of(20, 3072)
    batch = {b"data": data, b"labels": [row % 10 for row in range(10_000)]}
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    pack(unchecked / "cifar-10-batches-py-target_archive", {f"cifar-10-batches-py/{n}": batch for n in names})
    dataset = load(DataSpec("cifar10", max_train_images=100), tmp_path / "cache")
    assert dataset.counts["train"] == 100 and 10 <= dataset.counts["val"] <= 30
    assert dataset.counts["test"] == 10_000
    assert (dataset.classes[0], dataset.classes[9]) == ("airplane", "truck")
    assert np.array_equal(dataset.test().images[3], data[3].reshape(3, 32, 32).transpose(1, 2, 0))
