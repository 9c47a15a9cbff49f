"""What `toprung check` says of a job before anything is spent on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toprung.results.tables.schema import run_schemas
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import main
from toprung.search.commands.jobs.check import describe_job
from toprung.search.jobs.schema import Job
from toprung.search.preparation.job_warnings import (
    data_warnings,
    fold_warnings,
    misspelt_parameters,
    small_space_warnings,
)
from toprung.search.preparation.prepare import config_kinds, prepare
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.families.built_in import BUILT_IN
from toprung.spaces.families.registry import load_space
from toprung.trainables.data.dataset import Dataset, DataSpec, load
from toprung.trainables.system.storage import Storage


def test_the_first_rung_is_at_min_epochs(job_file) -> None:
    lines = list(describe_job(Job.from_file(job_file(search={"min_epochs": 3}))))
    assert "rungs      epochs 3, 9; 1 in 3 survives each" in lines
    lines = list(describe_job(Job.from_file(job_file(search={"min_epochs": 9}))))
    assert "rungs      epochs 9; 1 in 3 survives each" in lines
    assert "note       the only rung is that of epoch 9, the last: nothing is stopped early" in lines


def test_the_command_that_comes_next_is_one_to_type(job_file, capsys: pytest.CaptureFixture[str]) -> None:
    path = job_file()
    assert main(["check", str(path), "--set", "search.trials=2", "--set", "search.min_epochs=3"]) == 0
    *_, last = capsys.readouterr().out.splitlines()
    assert last == f"next       toprung search {path} --set search.trials=2 --set search.min_epochs=3"


def test_the_epochs_of_a_confirmation_are_listed_where_the_job_has_one(job_file) -> None:
    lines = [line for line in describe_job(Job.from_file(job_file())) if line.startswith("confirm")]
    assert not lines
    asking = Job.from_file(job_file(retrain={"confirm": 3, "seeds": 2}))
    (line,) = [line for line in describe_job(asking) if line.startswith("confirm")]
    assert line == "confirm    the best 3 with 2 new seeds each before one is retrained: 54 epochs"


@pytest.mark.parametrize(
    ("hours", "lines"), [(None, []), (0.5, ["retrain    0.5 hours, for as many epochs as fit"])]
)
def test_the_hours_of_the_retraining_are_told(job_file, hours: float | None, lines: list[str]) -> None:
    job = Job.from_file(job_file(retrain={"hours": hours}))
    assert [line for line in describe_job(job) if line.startswith("retrain")] == lines


@pytest.mark.parametrize("counts,warned", [((60, 20), True), ((40, 40), False)])
def test_classes_of_very_different_sizes_are_pointed_out(
    job_file, tmp_path: Path, counts: tuple[int, int], warned: bool
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (sum(counts), 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.repeat([0, 1], counts))
    job = Job.from_file(job_file(data={"source": "npz", "path": str(tmp_path / "set.npz")}))
    warnings = [line for line in describe_job(job) if "largest class" in line]
    assert len(warnings) == warned
    large, small = load(job.data_spec()).class_counts["train"]
    assert all(f"{large} training images and the smallest {small}" in line for line in warnings)


@pytest.mark.parametrize(
    ("fixed", "metric", "advice"),
    [
        ({}, "val_accuracy", "in training by space.fixed.class_balance 1 and in validation by search.metric"),
        ({"class_balance": 1}, "val_accuracy", "the same weight in validation by search.metric"),
        ({}, "val_macro_f1", "the same weight in training by space.fixed.class_balance 1"),
        ({"class_balance": 1}, "val_balanced_accuracy", None),
    ],
)
def test_a_job_that_weighs_its_classes_is_not_advised_to(
    job_file, tmp_path: Path, fixed: dict[str, int], metric: str, advice: str | None
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.repeat([0, 1], [20, 80]))
    data = {"source": "npz", "path": str(tmp_path / "set.npz")}
    overrides = [f"search.metric={metric}", *(f"space.fixed.{name}={value}" for name, value in fixed.items())]
    lines = describe_job(Job.from_file(job_file(data=data), overrides))
    told = [line for line in lines if "largest class" in line]
    assert len(told) == (advice is not None) and all(str(advice) in line for line in told)


def small_images(folder: Path, count: int) -> Path:
    rng = np.random.default_rng(0)
    for number in range(2 * count):
        home = folder / "cats" if number % 2 else folder / "dogs"
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(home / f"{number}.png")
    return folder


def flawed_images(folder: Path) -> Path:
    """Images of which 12 cannot be read and 20 are in train and in val."""
    small_images(folder / "train", 30)
    for number in range(12):
        (folder / "train" / "cats" / f"bad{number:02d}.jpg").touch()
    for number in range(20):
        home = "cats" if number % 2 else "dogs"
        (folder / "val" / home).mkdir(parents=True, exist_ok=True)
        copy = (folder / "train" / home / f"{number}.png").read_bytes()
        (folder / "val" / home / f"copy{number}.png").write_bytes(copy)
    return folder


@pytest.mark.parametrize(
    ("classes", "named"), [(10, "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"), (12, "8, 9 and 2 more")]
)
def test_the_first_classes_are_named(job_file, tmp_path: Path, classes: int, named: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (classes * 20, 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(classes * 20) % classes)
    job = Job.from_file(job_file(data={"source": "npz", "path": str(tmp_path / "set.npz")}))
    (line,) = [line for line in describe_job(job) if line.startswith("classes ")]
    assert line.endswith(f" {named}")


def test_images_left_out_and_images_in_two_splits_are_named(tmp_path: Path) -> None:
    folder = flawed_images(tmp_path / "images")
    data = load(DataSpec("folder", str(folder), max_corrupt_fraction=0.2), tmp_path / "cache")
    unreadable, shared = data_warnings(data)
    assert unreadable.startswith("12 images are unreadable and left out: train/cats/bad00.jpg (empty), ")
    assert "bad09.jpg" in unreadable and "bad10.jpg" not in unreadable
    assert unreadable.endswith(f"and 2 more in {data.folder}/manifest.json")
    assert "bad11.jpg" in (data.folder / "manifest.json").read_text()
    assert "images are in an earlier split too, such as val: val/cats/copy" in shared
    clean = load(DataSpec("folder", str(small_images(tmp_path / "clean", 10))), tmp_path / "cache")
    assert list(data_warnings(clean)) == []


def test_a_search_notes_what_the_check_notes_of_the_images(
    job_file, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOPRUNG_CACHE", str(tmp_path / "cache"))
    images = flawed_images(tmp_path / "images")
    path = job_file(
        data={"source": "folder", "path": str(images), "channels": 1, "max_corrupt_fraction": 0.2}
    )
    job = Job.from_file(path)
    expected = list(data_warnings(load(job.data_spec())))
    assert len(expected) == 2
    assert set(expected) <= {line.removeprefix("note       ") for line in describe_job(job)}
    # The folder is another job's, so that the search ends before it starts Ray.
    RunFolder(job.run_root).claim(Job.from_file(path, ["seed=1"])).release()
    assert main(["search", str(path)]) == 2
    assert capsys.readouterr().out.splitlines() == [f"note: {flaw}" for flaw in expected]


def test_a_parameter_nearly_called_as_one_of_the_recipe_is_pointed_out() -> None:
    (rate, optimizer) = misspelt_parameters(
        ["width", "learning_rat", "optimiser", "bn_momentum", "batch_size"]
    )
    assert rate.startswith("learning_rat is none of the training recipe")
    assert rate.endswith("did you mean learning_rate?") and optimizer.endswith("did you mean optimizer?")
    assert not [note for name in BUILT_IN for note in misspelt_parameters(config_kinds(load_space(name)))]


def test_the_advice_on_uneven_classes_can_be_followed(job_file) -> None:
    overrides = ["space.fixed.class_balance=1", "search.metric=val_balanced_accuracy"]
    assert any("the job is valid" in line for line in describe_job(Job.from_file(job_file(), overrides)))


def test_a_store_that_does_not_answer_from_here_is_a_note(job_file, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> bool:
        raise OSError("AWS Error NETWORK_CONNECTION\nduring HeadObject")

    monkeypatch.setattr(Storage, "exists", unreachable)
    lines = "\n".join(describe_job(Job.from_file(job_file())))
    assert "does not answer (AWS Error NETWORK_CONNECTION during HeadObject)" in lines
    assert "rungs" in lines


def test_classes_without_an_image_in_a_split_are_named_with_what_it_means(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    for split, names in {"train": "abc", "val": "ab", "test": "a"}.items():
        for name in names:
            home = small_images(folder / split / name, 3)
            (home / "cats").rename(home / f"more of {name}")  # folders in folders, whose names tell no class
            (home / "dogs").rename(home / f"other {name}")
    data = load(DataSpec("folder", str(folder)), tmp_path / "cache")
    lines = [line for line in data_warnings(data) if " image (" in line]
    assert lines == [
        "1 class has no val image (c): val_balanced_accuracy, val_macro_f1 and val_auc leave them out",
        "2 classes have no test image (b, c): their test accuracy will be null",
    ]


def test_a_job_without_test_images_is_pointed_out(job_file) -> None:
    lines = list(describe_job(Job.from_file(job_file(data={"source": "digits", "splits": {"test": 0}}))))
    assert "note       there are no test images: a retraining will report no test accuracy" in lines
    assert any(line.startswith("images     ") and " 0 test;" in line for line in lines)


def test_12_bit_values_in_16_bit_images_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(20):
        home = tmp_path / "images" / "ab"[number % 2]
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 4096, (8, 8), dtype=np.uint16)).save(home / f"{number}.png")
    (line,) = data_warnings(load(DataSpec("folder", str(tmp_path / "images")), tmp_path / "cache"))
    assert line.startswith("the brightest pixel of all images is 16 of 255: their values fill a fraction")


@pytest.mark.parametrize(
    ("folds", "val", "told"),
    [
        (5, (3, 1, 1), ["too few images of 'c' (1) in train and validation"]),
        (5, (3, 1, 2), []),
        (20, (3, 1, 2), ["data.folds: 20, and there are 19 images"]),
        (0, (3, 1, 1), []),
    ],
)
def test_folds_that_the_images_do_not_allow_are_told_before_the_search(
    folds: int, val: tuple[int, ...], told: list[str]
) -> None:
    counts = {"train": 13, "val": sum(val), "test": 1}
    class_counts = {"train": (7, 6, 0), "val": val, "test": (1, 0, 0)}
    data = Dataset((8, 8, 1), ("a", "b", "c"), "f" * 64, Path("entry"), counts, class_counts)
    found = list(fold_warnings(data, folds))
    assert len(found) == len(told)
    for line, text in zip(found, told, strict=True):
        assert line.startswith("a retraining will be refused: data.folds: ") and text in line


def test_a_space_of_fewer_configurations_than_trials_is_told_beforehand(job_file, tmp_path: Path) -> None:
    (tmp_path / "few.py").write_text(
        "def space(trial):\n    return {'batch_size': trial.suggest_categorical('batch_size', [16, 32])}\n"
    )
    small = load_space(f"{tmp_path}/few.py:space")
    job = Job.from_file(job_file())
    prepared = replace(prepare(job), space=small)
    (line,) = small_space_warnings(prepared)
    assert line == (
        f"the space holds 2 configurations, and search.trials is {job.search.trials}: "
        "the search ends when all of them were tried"
    )
    assert list(small_space_warnings(prepare(job))) == []


@pytest.mark.parametrize(
    ("obstacle", "told"),
    [
        ("loop", "cannot be written (Too many levels of symbolic links)"),
        ("dangling", "is a link that leads to no folder"),
        ("file", "is a file"),
        ("long", "must be shorter: a name in a path has at most 255 bytes"),
        ("/proc/no", "cannot be written"),
    ],
)
def test_a_storage_path_that_a_search_refuses_is_refused_by_check(
    job_file, tmp_path: Path, capsys: pytest.CaptureFixture[str], obstacle: str, told: str
) -> None:
    places = {"long": tmp_path / "new" / ("a" * 300), "/proc/no": Path("/proc/no")}
    place = places.get(obstacle, tmp_path / obstacle)
    if obstacle in ("loop", "dangling"):
        place.symlink_to(place if obstacle == "loop" else "nowhere")
    if obstacle == "file":
        place.touch()
    file = str(job_file(storage={"path": str(place)}))
    for command in ("check", "search"):
        assert main([command, file]) == 2
        assert "storage.path: " in (line := capsys.readouterr().err) and line.count("\n") == 1, command
        assert told in line or command == "search"


@pytest.mark.parametrize("table", ["proposals", "rungs", "space"])
def test_a_run_whose_tables_a_search_could_not_go_on_with_is_refused_by_check(
    job_file, capsys: pytest.CaptureFixture[str], table: str
) -> None:
    file = job_file()
    folder = RunFolder(Job.from_file(file).run_root)
    folder.claim(Job.from_file(file)).release()
    RunWriter(folder.root, run_schemas({})).close()
    assert main(["check", str(file)]) == 0
    capsys.readouterr()
    (part,) = Path(folder.root, table).iterdir()
    part.write_bytes(b"half")
    for command in ("check", "search"):
        assert main([command, str(file)]) == 2
        assert f"{part}: cannot be read (" in capsys.readouterr().err, command


def test_a_run_that_is_searched_now_and_what_this_machine_lacks_are_told(job_file) -> None:
    job = Job.from_file(job_file(resources={"cpus": 4096, "gpus": 0}))
    with RunFolder(job.run_root).claim(job):
        lines = list(describe_job(job))
    assert any("another search of it is refused" in line for line in lines)
    assert any("resources.cpus is 4096, and " in line and "only a cluster" in line for line in lines)


def test_a_bad_sampler_is_told_together_with_the_other_problems(
    job_file, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = {"sampler": "nosuch", "warm_start": ["nowhere"], "initial_configs": [{"learning_rate": -1}]}
    (tmp_path / "set.npz").write_text("no archive")
    file = job_file(data={"source": "npz", "path": str(tmp_path / "set.npz")}, search=search)
    assert main(["check", str(file), "--set", "resources.gpus=3"]) == 2
    told = capsys.readouterr().err
    named = ["search.sampler: ", "search.warm_start[0]: ", "search.initial_configs[0].learning_rate: "]
    assert all(told.count(where) == 1 for where in [*named, "data.path: ", "resources.gpus: "])
    assert main(["check", str(file), "--set", "space.name=nosuch"]) == 2
    assert "search.sampler: " in (told := capsys.readouterr().err) and "space.name: " in told
