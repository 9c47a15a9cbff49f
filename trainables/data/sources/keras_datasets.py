"""The small image sets that Keras downloads, or finds in its cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from toprung.spaces.errors import InputError
from toprung.trainables.data.source_rules.base import Listing, Source, file_stamp
from toprung.trainables.data.sources.arrays import array_listing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from toprung.trainables.data.source_rules.spec import DataSpec


# Data set -> the files and folders that Keras 3 keeps of it in its folder `datasets`, newest name first.
CACHE_NAMES = {
    "cifar10": ("cifar-10-batches-py-target", "cifar-10-batches-py"),
    "cifar100": ("cifar-100-python-target", "cifar-100-python"),
    "mnist": ("mnist.npz",),
    "fashion_mnist": ("fashion-mnist",),
}
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


FASHION = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
CLASSES = {"cifar10": CIFAR10, "fashion_mnist": FASHION}
STDERR = 2  # by number: a captured sys.stderr has no file behind it


FETCH = """
import sys, importlib, numpy
(x, y), (x2, y2) = importlib.import_module("keras.datasets." + sys.argv[1]).load_data()
numpy.savez(sys.argv[2], x_train=x, y_train=y, x_test=x2, y_test=y2)
"""


class KerasSource(Source):
    """A data set of `keras.datasets`, with the test split it comes with.

    Keras runs once, in a process of its own: importing it loads its backend, which neither the driver nor a
    worker that only memory-maps needs, and TensorFlow cannot be unloaded again.
    """

    names: ClassVar[tuple[str, ...]] = tuple(CACHE_NAMES)

    def __init__(self, spec: DataSpec) -> None:
        self.name = spec.source
        if spec.path is not None:
            allowed = f"no path: source {self.name!r} is read where Keras keeps it (KERAS_HOME, or ~/.keras)"
            raise InputError.single("data.path", repr(spec.path), allowed)

    def stamps(self) -> tuple[str, ...]:
        if not self._cached_files():
            _ = self.arrays  # downloads, so that the stamps are those of the files the next process will see
        return (self.name, *(file_stamp(file) for file in self._cached_files()))

    def listing(self) -> Listing:
        arrays = self.arrays
        pairs = {split: (arrays[f"x_{split}"], arrays[f"y_{split}"]) for split in ("train", "test")}
        return array_listing(pairs, CLASSES.get(self.name), "data.source", self.name)

    def _cached_files(self) -> list[Path]:
        paths = [folder / name for folder in _keras_folders() for name in CACHE_NAMES[self.name]]
        files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
        return sorted(file for file in files if file.is_file())

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """x_train, y_train, x_test and y_test as Keras returns them; raises InputError when it cannot get them."""
        with tempfile.TemporaryDirectory(prefix="toprung-") as folder:
            file = Path(folder) / "arrays.npz"
            command = [sys.executable, "-P", "-c", FETCH, self.name, str(file)]
            done = subprocess.run(command, stdout=STDERR, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode or not file.is_file():
                reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
                allowed = f"a network connection, or its files under {_keras_folders()[0]}"
                raise InputError.single("data.source", f"Keras could not load {self.name}: {reason}", allowed)
            with np.load(file, allow_pickle=False) as loaded:
                return {name: loaded[name] for name in loaded.files}


def _keras_folders() -> list[Path]:
    home = os.environ.get("KERAS_HOME")
    return [
        Path(home) / "datasets" if home else Path.home() / ".keras" / "datasets",
        Path("/tmp/.keras/datasets"),
    ]
