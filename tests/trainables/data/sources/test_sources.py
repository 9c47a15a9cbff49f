"""Every source keeps the same promises; a new one is one line in CASES."""

from __future__ import annotations

import gzip
import io
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from toprung.trainables.data.dataset import DataSpec, check, load
from toprung.trainables.data.sources.keras_datasets import KerasSource

if TYPE_CHECKING:
    from pathlib import Path

RNG_SEED = 7
COUNT, CLASSES, SIDE = 30, 3, 8


def images(count: int = COUNT, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(RNG_SEED).integers(0, 256, (count, SIDE, SIDE, channels), dtype=np.uint8)


def labels(count: int = COUNT) -> np.ndarray:
    return np.arange(count) % CLASSES


def png(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image.squeeze()).save(out, "PNG")
    return out.getvalue()


def digits(_: Path) -> DataSpec:
    return DataSpec()


def folder(where: Path) -> DataSpec:
    for row, (image, label) in enumerate(zip(images(), labels(), strict=True)):
        home = where / "images" / f"class {label}"
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{row:03}.png").write_bytes(png(image))
    return DataSpec("folder", str(where / "images"))


def split_folders(where: Path) -> DataSpec:
    for split in ("train", "validation", "test"):
        for row, (image, label) in enumerate(zip(images(9), labels(9), strict=True)):
            home = where / "images" / split / f"class {label}"
            home.mkdir(parents=True, exist_ok=True)
            (home / f"{row:03}.png").write_bytes(png(image))
    return DataSpec("folder", str(where / "images"))


def parquet(where: Path) -> DataSpec:
    import pyarrow as pa
    import pyarrow.parquet as pq

    encoded = [{"bytes": png(image), "path": None} for image in images()]
    table = pa.table({"image": encoded, "label": labels()})
    pq.write_table(table.slice(0, 20), where / "train-00000-of-00002.parquet", row_group_size=7)
    pq.write_table(table.slice(20), where / "train-00001-of-00002.parquet")
    return DataSpec("parquet", str(where))


def plain_parquet(where: Path) -> DataSpec:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"img": [png(image) for image in images()], "fine": labels()})
    pq.write_table(table, where / "train.parquet")
    pq.write_table(table.slice(0, 6), where / "test.parquet")
    return DataSpec("parquet", str(where), image_column="img", label_column="fine")


def npz(where: Path) -> DataSpec:
    test = {"x_test": images(6), "y_test": labels(6)[:, None]}
    np.savez(where / "set.npz", x_train=images(), y_train=labels()[:, None], **test)
    return DataSpec("npz", str(where / "set.npz"))


def plain_npz(where: Path) -> DataSpec:
    np.savez(where / "set.npz", images=images(channels=1)[..., 0], labels=labels(), classes=["a", "b", "c"])
    return DataSpec("npz", str(where / "set.npz"))


def function(where: Path) -> DataSpec:
    np.savez(where / "set.npz", images=images(), labels=labels())
    (where / "mine.py").write_text(
        "import numpy, pathlib\n"
        "def load():\n"
        "    file = numpy.load(pathlib.Path(__file__).with_name('set.npz'))\n"
        "    return file['images'], file['labels'], ['ant', 'bee', 'cat']\n"
    )
    return DataSpec(f"{where / 'mine.py'}:load")


def module_function(where: Path) -> DataSpec:
    function(where)
    (where / "mine.py").rename(where / "my_images.py")
    return DataSpec("my_images:load")


def keras(where: Path) -> DataSpec:
    """Fashion-MNIST's four files, small, where Keras would have put them."""
    home = where / "datasets" / "fashion-mnist"
    home.mkdir(parents=True)
    for name, count in (("train", 60), ("t10k", 20)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        numbers = (np.arange(count) % 10).astype(np.uint8)
        (home / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + pixels.tobytes()))
        (home / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + numbers.tobytes()))
    return DataSpec("fashion_mnist")


def fetched_once(source: KerasSource) -> dict[str, np.ndarray]:
    """Keras takes seconds to start and gives the same arrays each time here: once is enough for all tests."""
    if source.name not in FETCHED:
        FETCHED[source.name] = FETCH(source)
    return FETCHED[source.name]


FETCH = KerasSource.arrays.func
FETCHED: dict[str, dict[str, np.ndarray]] = {}
CASES = [
    digits,
    folder,
    split_folders,
    parquet,
    plain_parquet,
    npz,
    plain_npz,
    function,
    module_function,
    pytest.param(keras, marks=pytest.mark.slow),
]


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def spec(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSpec:
    home = tmp_path / "a 'source' with \"quotes\""
    home.mkdir()
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.setenv(
        "KERAS_BACKEND", "numpy"
    )  # the process that reads starts in half the time of TensorFlow's
    monkeypatch.syspath_prepend(home)
    monkeypatch.delitem(sys.modules, "my_images", raising=False)
    monkeypatch.setattr(KerasSource, "arrays", property(fetched_once))
    made: DataSpec = request.param(home)
    return made


def test_arrays_have_the_promised_types_and_shapes(spec: DataSpec, tmp_path: Path) -> None:
    dataset = load(spec, tmp_path / "cache")
    for split, count in zip(
        (dataset.train(), dataset.val(), dataset.test()), dataset.counts.values(), strict=True
    ):
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int32
        assert split.images.shape == (count, *dataset.image_shape)
        assert split.labels.shape == (count,)
        assert set(split.labels.tolist()) == set(range(len(dataset.classes)))
        assert not split.images.flags.writeable


def test_loading_again_gives_the_same_data_set(spec: DataSpec, tmp_path: Path) -> None:
    first = load(spec, tmp_path / "cache")
    assert load(spec, tmp_path / "cache") == first
    elsewhere = load(spec, tmp_path / "other cache")
    assert elsewhere.fingerprint == first.fingerprint
    assert np.array_equal(elsewhere.train().images, first.train().images)


def test_no_image_is_lost_or_made_up(spec: DataSpec, tmp_path: Path) -> None:
    """Every decoded row is one of the source's own images, with its own label."""
    from toprung.trainables.data.sources.registry import open_source

    listing = open_source(spec).listing()
    dataset = load(spec, tmp_path / "cache")
    assert sum(dataset.counts.values()) == sum(len(split.labels) for split in listing.splits.values())
    for name, split in listing.splits.items():
        assert len(split.images) == len(split.labels) == sum(len(chunk) for chunk in split.images.chunks(7))
        assert split.images.name(len(split.images) - 1) != split.images.name(0)
        if name != "train":
            assert dataset.counts[name] == len(split.labels)


def test_a_good_source_checks_clean(spec: DataSpec) -> None:
    assert check(spec) == ()


def test_image_size_and_channels_are_honoured(spec: DataSpec, tmp_path: Path) -> None:
    from dataclasses import replace

    for channels in (1, 3):
        dataset = load(replace(spec, image_size=12, channels=channels), tmp_path / "cache")
        assert dataset.image_shape == (12, 12, channels)


def test_every_registered_source_has_a_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toprung.trainables.data.sources.registry import SOURCES, source_class

    covered = set()
    for number, case in enumerate(CASES):
        make = case.values[0] if hasattr(case, "values") else case
        (tmp_path / str(number)).mkdir()
        covered.add(source_class(make(tmp_path / str(number)).source))
    assert covered >= set(SOURCES), "add a line to CASES"
