"""`toprung init` writes a job file that is valid as it is, and suits the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toprung.search.cli import main
from toprung.search.commands.jobs.check import describe_job
from toprung.search.runs.extended_job import load_extended
from toprung.search.suggestion.suggested_job import job_name
from toprung.search.suggestion.usual_space import usual_space


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOPRUNG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def photos(
    folder: str, sizes: list[tuple[int, int]], counts: tuple[int, ...] = (20, 20), grey: bool = False
) -> None:
    """Class folders of photographs that have the sizes (width, height) in turn."""
    rng = np.random.default_rng(0)
    for number, count in enumerate(counts):
        home = Path(folder) / f"class {number}"
        home.mkdir(parents=True)
        for row in range(count):
            width, height = sizes[row % len(sizes)]
            shape = (height, width) if grey else (height, width, 3)
            Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(home / f"{row}.png")


def initialised(path: str, *arguments: str) -> str:
    """The text of the job file that the command writes; `check` finds the job valid."""
    assert main(["init", path, *arguments]) == 0
    (file,) = Path.cwd().rglob("*.yaml")
    assert "the job is valid" in next(iter(describe_job(load_extended(file))))
    return file.read_text()


def test_a_class_that_is_too_small_to_be_divided_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    photos("rare", [(40, 40)], counts=(20, 2))
    assert main(["init", "rare"]) == 0
    assert (
        "note       a search will be refused: class 'class 1' has 2 images; at least 3"
        in capsys.readouterr().out
    )


def test_an_archive_is_to_be_unpacked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos.ZIP").write_bytes(b"PK")
    assert main(["init", "photos.ZIP"]) == 2
    assert "photos.ZIP is a file; unpack it: a folder with" in capsys.readouterr().err


def test_photographs_of_many_sizes_are_for_transfer(capsys: pytest.CaptureFixture[str]) -> None:
    photos("my photos", [(200, 150), (140, 160), (300, 210)])
    text = initialised("my photos/")
    job = load_extended("my-photos.yaml")
    assert (job.name, job.space.name, job.data.image_size, job.data.fit) == (
        "my-photos",
        "transfer",
        128,
        "crop",
    )
    assert job.search.budgets.wall_clock_hours == 0.5 and "# 30 minutes" in text
    assert job.retrain.hours is None, "tuning gains nothing from more epochs than a trial has"
    assert "weights: mobilenet_v2.weights.h5" in text
    printed = capsys.readouterr().out
    assert "images     40 train; 160x200 in the middle, colour, softmax" in printed
    assert printed.endswith("wrote      my-photos.yaml\nnext       toprung check my-photos.yaml\n")


def test_small_grey_images_are_for_networks_from_scratch() -> None:
    photos("digits", [(12, 12)], grey=True)
    initialised("digits")
    job = load_extended("digits.yaml")
    assert (job.space.name, job.data.image_size, job.data.channels) == ("cnn", 16, 1)
    assert (job.search.budgets.wall_clock_hours, job.retrain.hours) == (0.5, 0.33)


def test_images_of_one_size_keep_it() -> None:
    photos("wide", [(128, 96)])
    assert "image_size: [96, 128] " in initialised("wide")


@pytest.mark.parametrize(("count", "told"), [(40, True), (220, False)])
def test_few_images_are_said_to_be_worth_folds(count: int, told: bool) -> None:
    photos("some", [(32, 32)], (count, count))
    assert ("# folds: 5 " in initialised("some")) is told


def test_uneven_classes_are_weighed() -> None:
    photos("uneven", [(32, 32)], (40, 12))
    text = initialised("uneven")
    job = load_extended("uneven.yaml")
    assert job.search.metric == "val_balanced_accuracy" and job.space.fixed["class_balance"] == 1
    assert "every class counts alike: they have 12 to 40 images" in text


def test_splits_that_the_images_come_with_are_not_drawn() -> None:
    for split in ("train", "val", "test"):
        photos(f"set/{split}", [(32, 32)], (4, 4))
    assert "splits" not in initialised("set")


def test_images_of_several_classes_each_have_a_metric_of_their_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([[1, 1, 0], [0, 1, 1], [1, 0, 0], [0, 0, 1]], (10, 1))
    np.savez("tags.npz", images=rng.integers(0, 256, (40, 24, 24, 3), dtype=np.uint8), labels=labels)
    assert "metric: val_macro_f1" in initialised("tags.npz")


def test_what_is_not_used_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    photos("set", [(32, 32)])
    Path("set/class 0/phone.heic").touch()
    initialised("set")
    assert "note       1 file is no image that can be read and not used: 1 .heic" in capsys.readouterr().out


def test_a_job_in_another_folder_finds_its_images_from_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    photos("set", [(32, 32)])
    Path("jobs").mkdir()
    initialised("set", "--out", "jobs/mine.yaml")
    monkeypatch.chdir("jobs")
    assert Path(str(load_extended("mine.yaml").data.path)).is_dir()


def test_no_file_is_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    photos("set", [(32, 32)])
    Path("set.yaml").write_text("mine")
    assert main(["init", "set"]) == 2
    assert capsys.readouterr().err == "toprung: --out: set.yaml exists; must be the name of a new file\n"
    assert Path("set.yaml").read_text() == "mine"
    assert main(["init", "set", "--out", "no folder/set.yaml"]) == 2


@pytest.mark.parametrize("path", ["nowhere", "empty", "text.txt", "s3://user:secret@bucket/x"])
def test_what_holds_no_images_is_refused_in_one_line(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    Path("text.txt").touch()
    assert main(["init", path]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(Path.cwd().glob("*.yaml"))


def test_images_that_cannot_be_opened_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        Path("set", name).mkdir(parents=True)
        for row in range(5):
            Path("set", name, f"{row}.jpg").touch()
    assert main(["init", "set"]) == 2
    assert "none of the first 200 images of set can be opened" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("photos", "photos"),
        ("a/b/My photos (2026)/", "My-photos-2026"),
        ("s3://bucket/cats?region=x", "cats"),
        ("set.npz", "set"),
        ("/", "images"),
        ("…", "images"),
        ("x" * 300, "x" * 100),
    ],
)
def test_a_job_is_named_after_its_images(path: str, name: str) -> None:
    assert job_name(path) == name


@pytest.mark.parametrize(
    ("images", "side", "space"),
    [
        (500, 128, "transfer"),
        (500, 32, "cnn"),
        (50_000, 32, "cnn"),
        (100_000, 64, "cnn"),
        (100_000, 224, "transfer"),
    ],
)
def test_the_usual_space_depends_on_count_and_size(images: int, side: int, space: str) -> None:
    assert usual_space(images, side) == space


@pytest.mark.parametrize(("space", "told"), [("cnn", True), ("transfer", False)])
def test_check_says_when_the_other_space_is_usual(space: str, told: bool) -> None:
    photos("set", [(128, 128)])
    Path("job.yaml").write_text(f"data: {{path: set}}\nspace: {space}\n")
    lines = list(describe_job(load_extended("job.yaml")))
    assert (
        any("`space: transfer`, pretrained networks, is the usual choice" in line for line in lines) is told
    )


@pytest.mark.parametrize(
    ("fixed", "told"),
    [
        ("{}", "which Keras downloads once a node into"),
        ("{weights: none}", "none: the networks begin at random"),
    ],
)
def test_check_says_where_weights_come_from(fixed: str, told: str) -> None:
    photos("set", [(64, 64)])
    Path("job.yaml").write_text(f"data: {{path: set}}\nspace: {{name: transfer, fixed: {fixed}}}\n")
    (line,) = [line for line in describe_job(load_extended("job.yaml")) if line.startswith("weights ")]
    assert told in line


def test_check_tells_what_the_limits_leave_out() -> None:
    photos("set", [(32, 32)], (60, 60))
    Path("job.yaml").write_text("data: {path: set, max_train_images: 20}\n")
    (line,) = [line for line in describe_job(load_extended("job.yaml")) if line.startswith("left out ")]
    assert line.endswith("val, beyond data.max_train_images and data.max_val_images")


def test_a_folder_that_may_not_be_listed_is_told(forbid, capsys: pytest.CaptureFixture[str]) -> None:
    photos("set", [(32, 32)])
    forbid(Path("set").absolute())
    assert main(["init", "set"]) == 2
    assert "cannot be read (Permission denied)" in capsys.readouterr().err


def test_files_that_cannot_be_opened_and_odd_names_are_looked_past(
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos("set", [(16, 16)])
    Path("set/class 0/gone.png").symlink_to("/nowhere/at/all.png")
    Path("set/class 1").rename("set/class\n\x1b[31m1")
    Path("set/class 0/text.jpg").write_text("no image")
    initialised("set")
    assert main(["check", "set.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = "2 of 42 images that were looked at cannot be opened: class 0/gone.png, class 0/text.jpg"
    assert f"note       {told}" in lines
    assert "classes    class \\x1b[31m1 20, class 0 22" in lines
    assert "classes    class \\x1b[31m1, class 0" in lines
    assert all(line.isprintable() for line in lines)
