"""Images are decoded once on a node, by one process, completely or not at all; the fingerprint is of their content."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import DataSpec, load

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not on this machine")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of ten 8x8 noise images."""
    rng = np.random.default_rng(0)
    for number in range(20):
        home = tmp_path / "pictures" / f"class{number % 2}"
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(home / f"{number:02}.png")
    return tmp_path / "pictures"


def counting_source(folder: Path) -> DataSpec:
    """A source that leaves a line in `calls` each time it is read, and takes its time."""
    (folder / "counted.py").write_text(
        "import pathlib, time, numpy\n"
        "def load():\n"
        "    with open(pathlib.Path(__file__).with_name('calls'), 'a') as calls:\n"
        "        calls.write('read\\n')\n"
        "    time.sleep(0.5)\n"
        "    images = numpy.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype='uint8')\n"
        "    return images, numpy.arange(60) % 3\n"
    )
    return DataSpec(f"{folder / 'counted.py'}:load")


def calls(folder: Path) -> int:
    return len((folder / "calls").read_text().splitlines())


def start(spec: DataSpec, cache: Path, code: str = "") -> subprocess.Popen[str]:
    program = (
        f"from pathlib import Path\nfrom toprung.trainables.data.dataset import load\n"
        f"from toprung.trainables.data.source_rules.spec import DataSpec\n{code}\n"
        f"print(load({spec!r}, Path({str(cache)!r})).fingerprint)"
    )
    environment = dict(os.environ)
    return subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_processes_that_start_together_decode_once(tmp_path: Path) -> None:
    spec = counting_source(tmp_path)
    running = [start(spec, tmp_path / "cache") for _ in range(4)]
    fingerprints = {process.communicate(timeout=120)[0] for process in running}
    assert fingerprints == {load(spec, tmp_path / "cache").fingerprint + "\n"}
    assert calls(tmp_path) == 1


@pytest.mark.slow
def test_a_killed_decoding_is_taken_over_and_cleaned_up(tmp_path: Path) -> None:
    spec = counting_source(tmp_path)
    stop = (
        "import os\nfrom toprung.trainables.data import dataset\n"
        "dataset.fingerprint = lambda *_: os.kill(os.getpid(), 9)"
    )
    assert start(spec, tmp_path / "cache", stop).wait(timeout=120) == -9
    assert list((tmp_path / "cache").glob("*.part")), "it was killed before its entry was in place"

    dataset = load(spec, tmp_path / "cache")
    assert sum(dataset.counts.values()) == 60
    assert not list((tmp_path / "cache").glob("*.part"))


def damage_truncate(folder: Path) -> None:
    file = folder / "train_images.npy"
    file.write_bytes(file.read_bytes()[:-1])


def damage_remove(folder: Path) -> None:
    (folder / "test_labels.npy").unlink()


def damage_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"bytes": ')


def damage_empty(folder: Path) -> None:
    (folder / "manifest.json").write_text("[]")


@pytest.mark.parametrize("damage", [damage_truncate, damage_remove, damage_manifest, damage_empty])
def test_a_damaged_entry_is_made_again(
    damage: Callable[[Path], None], pictures: Path, tmp_path: Path
) -> None:
    spec = DataSpec("folder", str(pictures))
    first = load(spec, tmp_path / "cache")
    before = first.train().images.copy()
    damage(first.folder)

    again = load(spec, tmp_path / "cache")
    assert again == first
    assert np.array_equal(again.train().images, before)


def test_who_has_the_old_files_mapped_keeps_them(pictures: Path, tmp_path: Path) -> None:
    spec = DataSpec("folder", str(pictures))
    first = load(spec, tmp_path / "cache")
    mapped = first.train().images
    before = mapped.copy()
    damage_remove(first.folder)
    assert load(spec, tmp_path / "cache") == first
    assert np.array_equal(mapped, before)


def test_a_second_load_reads_no_image(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DataSpec("folder", str(pictures))
    first = load(spec, tmp_path / "cache")
    monkeypatch.setattr(
        "toprung.trainables.data.decoding.materialize.decoded", lambda *_: pytest.fail("decoded again")
    )
    assert load(spec, tmp_path / "cache") == first


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"image_size": 4}, {"val_fraction": 0.3}, {"channels": 1}, {"max_train_images": 4}],
    ids=str,
)
def test_another_spec_is_another_entry(change: dict[str, float], pictures: Path, tmp_path: Path) -> None:
    spec = DataSpec("folder", str(pictures))
    changed = replace(spec, **change)  # type: ignore[arg-type]
    assert load(changed, tmp_path / "cache").folder != load(spec, tmp_path / "cache").folder
    assert load(changed, tmp_path / "cache").fingerprint != load(spec, tmp_path / "cache").fingerprint


def test_a_changed_file_is_decoded_again(pictures: Path, tmp_path: Path) -> None:
    spec = DataSpec("folder", str(pictures))
    before = load(spec, tmp_path / "cache")
    Image.new("RGB", (8, 8), "red").save(pictures / "class0" / "00.png")
    after = load(spec, tmp_path / "cache")
    assert after.fingerprint != before.fingerprint
    (pictures / "class0" / "00.png").unlink()
    assert sum(load(spec, tmp_path / "cache").counts.values()) == 19


def test_the_fingerprint_is_of_the_content_not_of_the_place(pictures: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = load(DataSpec("folder", str(pictures)), tmp_path / "cache")
    moved = shutil.copytree(pictures, tmp_path / "moved")
    assert load(DataSpec("folder", str(moved)), tmp_path / "cache").fingerprint == first.fingerprint

    files = sorted(pictures.rglob("*.png"))
    table = pa.table(
        {
            "image": [file.read_bytes() for file in files],
            "label": [int(file.parent.name[-1]) for file in files],
        }
    )
    pq.write_table(table, tmp_path / "train.parquet")
    (tmp_path / "classes.txt").write_text("class0\nclass1\n")
    same = load(DataSpec("parquet", str(tmp_path / "train.parquet")), tmp_path / "cache")
    assert same.fingerprint == first.fingerprint

    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    renamed = load(DataSpec("parquet", str(tmp_path / "train.parquet")), tmp_path / "cache")
    assert renamed.fingerprint != first.fingerprint


def test_images_that_stand_in_two_splits_are_found(pictures: Path, tmp_path: Path) -> None:
    root = tmp_path / "split"
    for split in ("train", "val", "test"):
        shutil.copytree(pictures, root / split)
    for number in range(2, 20):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(
            root / "val" / f"class{number % 2}" / f"{number:02}.png"
        )
        Image.new("RGB", (8, 8), (0, number, 0)).save(
            root / "test" / f"class{number % 2}" / f"{number:02}.png"
        )
    duplicates = load(DataSpec("folder", str(root)), tmp_path / "cache").duplicates_across_splits
    assert duplicates.count == 4
    assert "val: val/class0/00.png = train: train/class0/00.png" in duplicates.examples
    assert "test: test/class1/01.png = train: train/class1/01.png" in duplicates.examples
    assert load(DataSpec("folder", str(pictures)), tmp_path / "cache").duplicates_across_splits.count == 0


def test_the_test_split_is_a_file_nothing_else_opens(pictures: Path, tmp_path: Path) -> None:
    dataset = load(DataSpec("folder", str(pictures)), tmp_path / "cache")
    train, val = dataset.train().images.copy(), dataset.val().images.copy()
    (dataset.folder / "test_images.npy").unlink()
    assert np.array_equal(dataset.train().images, train)
    assert np.array_equal(dataset.val().images, val)
    with pytest.raises(FileNotFoundError):
        dataset.test()


def test_a_data_set_travels_between_processes(pictures: Path, tmp_path: Path) -> None:
    dataset = load(DataSpec("folder", str(pictures)), tmp_path / "cache")
    assert pickle.loads(pickle.dumps(dataset)) == dataset
    assert json.dumps(dataset.class_counts)


def test_class_weights_undo_the_imbalance(pictures: Path, tmp_path: Path) -> None:
    for number in range(10, 18):
        (pictures / "class1" / f"{number | 1}.png").unlink(missing_ok=True)
    dataset = load(DataSpec("folder", str(pictures)), tmp_path / "cache")
    counts, weights = dataset.class_counts["train"], dataset.class_weights()
    assert counts[0] > counts[1]
    assert counts[0] * weights[0] == pytest.approx(counts[1] * weights[1])
    assert np.dot(counts, weights) == pytest.approx(sum(counts))


def test_progress_counts_up_to_all_images(pictures: Path, tmp_path: Path) -> None:
    reported: list[tuple[int, int]] = []
    load(
        DataSpec("folder", str(pictures)),
        tmp_path / "cache",
        lambda done, total: reported.append((done, total)),
    )
    assert reported[-1] == (20, 20)


def test_importing_the_data_layer_loads_no_heavy_library() -> None:
    heavy = {"tensorflow", "keras", "ray", "sklearn", "pyarrow", "PIL"}
    code = f"import sys, toprung.trainables.data.dataset; print(sorted({heavy!r} & set(sys.modules)))"
    environment = dict(os.environ)
    finished = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "[]"


@needs_shared
def test_photographs_of_many_sizes_with_their_own_validation_split(tmp_path: Path) -> None:
    path = str(SHARED / "ants_bees")
    with pytest.raises(InputError, match=r"data\.image_size"):
        load(DataSpec("folder", path), tmp_path)
    dataset = load(DataSpec("folder", path, image_size=64, fit="crop"), tmp_path)
    assert dataset.classes == ("ants", "bees")
    assert dataset.class_counts["val"] == (12, 12)
    assert dataset.counts["train"] + dataset.counts["test"] == 48


@needs_shared
@pytest.mark.slow
def test_cifar_keeps_its_test_split_and_its_class_names(tmp_path: Path) -> None:
    dataset = load(DataSpec("parquet", str(SHARED / "cifar10_jpeg"), val_fraction=0.1), tmp_path)
    # Each image is drawn by its content: 5,000 draws of one in ten, whose deviation is 21; five of them.
    assert np.allclose(dataset.class_counts["train"], 4500, atol=106)
    assert np.allclose(dataset.class_counts["val"], 500, atol=106)
    assert dataset.class_counts["test"] == (1000,) * 10
    assert dataset.classes[0] == "airplane"
    assert dataset.image_shape == (32, 32, 3)


def test_each_image_keeps_the_name_it_has_in_its_source(pictures: Path, tmp_path: Path) -> None:
    found = load(DataSpec(source="folder", path=str(pictures)), tmp_path / "cache")
    for split, part in (("train", found.train()), ("val", found.val()), ("test", found.test())):
        names = found.names(split)
        assert len(names) == len(part) == found.counts[split]
        for name, image in zip(names, part.images, strict=True):
            assert np.array_equal(np.asarray(Image.open(pictures / name)), image)
    every = [name for split in ("train", "val", "test") for name in found.names(split)]
    assert sorted(every) == sorted(str(path.relative_to(pictures)) for path in pictures.rglob("*.png"))
