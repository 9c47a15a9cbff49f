"""A collection of inputs that were once handled wrongly: what `toprung check` says of each.

The tests of each kind of fault make inputs of their own; this file holds the collection itself.
"""

from __future__ import annotations

import ast
import runpy
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from toprung.search.cli import main

COLLECTED = Path(__file__).parents[5] / "shared" / "failing"
pytestmark = pytest.mark.skipif(not COLLECTED.is_dir(), reason=f"{COLLECTED} is not on this machine")


@dataclass(frozen=True)
class Right:
    """What is right for a set of images.

    Attributes:
        images: How many there are in all splits together, or of each split where the input gives the splits.
        classes: As `check` names them.
        note: The start of the line that says what was not used, or how the input was read; empty where nothing was.
    """

    images: int | str
    classes: str
    note: str = ""


IMAGES = {
    "01_training_set": Right(
        28, "cats, dogs", "splits by folder: train is training_set/training_set, test is test_set/test_set"
    ),
    "02_tif_passed_over": Right(50, "a, b"),
    "03_val_lacks_class": Right(
        38, "a, b, c", "1 class has no val image (c): val_balanced_accuracy, val_macro_f1 and val_auc leave them out"
    ),
    "04_eval_dev_folder": Right(
        "20 train, 8 val, 8 test", "a, b", "splits by folder: train is train, val is dev, test is eval"
    ),
    "05_mixed_root": Right(
        20, "cat, dog", "2 folders are beside the splits and not used: cat (10 images), dog (10 images)"
    ),
    "06_one_bad_photo": Right(40, "a, b", "1 image is unreadable and left out: a/heic_named.jpg"),
    "07_bits12": Right(20, "a, b", "the brightest pixel of all images is 16 of 255"),
    "08_stray_parquet": Right(
        20, "a, b", "1 file is in no class folder and not used: 1 .parquet, such as metadata.parquet"
    ),
    "09_conflicting_labels": Right(25, "a, b", "5 pictures carry different labels: equal pixels in a/"),
    "10_hub_subfolder": Right(40, "cat, dog"),
    "11_hub_convert": Right(40, "cat, dog"),
    "12_hub_img_fine_label": Right(
        40, "cat, dog", "images are in the column 'img', labels in 'fine_label'"
    ),
    "13_string_labels": Right(40, "cat, dog"),
    "14_unused_class": Right(40, "cat, dog", "1 class has no image and no output in the model: bird"),
    "15_unlabelled_test": Right(
        40, "cat, dog", "no image of test has a label (all are -1 or empty): test is left out"
    ),
    "16_medmnist": Right("40 train, 10 val, 10 test", "0, 1"),
}  # fmt: skip
SOUND = ["ok", "softmax", "compiled", "custom", "customreg", "bn", "seq", "randflip", "f64", "mixedscale"]
"""The kinds of the zoo that can be trained, saved and read back as they are."""
UNSOUND = {
    "raises": "it fails: ValueError: boom: width too large (model_zoo.py line 25)",
    "wrongshape": "outputs (None, 11); must be (None, 10): one output for each class",
    "lamb": "(Lambda) cannot be copied for the exported model: its function is code",
    "multiin": "for inputs [(None, 16, 16, 1), (None, 3)]; must be (None, 16, 16, 1)",
    "multiout": "output is a list; must be one tensor: keras.Model(inputs, logits)",
    "dictout": "output is a dict; must be one tensor: keras.Model(inputs, logits)",
    "none": "build returned a NoneType; return keras.Model(inputs, outputs)",
    "sequnbuilt": "an unbuilt model; start it with keras.Input(image_shape)",
    "subclass": "an unbuilt model; start it with keras.Input(image_shape)",
    "usesrecipe": "build reads learning_rate, of the training recipe",
    "badkey": "it fails: KeyError: 'lr' (model_zoo.py line 43)",
    "tfop": "it fails: ValueError: A KerasTensor cannot be used as input to a TensorFlow function",
    "rank3": "outputs (None, 1, 10); must be (None, 10)",
    "prune": "it fails: TrialPruned (model_zoo.py line 51)",
    "sysexit": "it fails: SystemExit: 3 (model_zoo.py line 52)",
    "kbd": "it fails: KeyboardInterrupt (model_zoo.py line 53)",
    "nanout": "not finite after one batch; mend what makes NaN or infinity",
    "fixedbatch": "for inputs (7, 16, 16, 1); must be (None, 16, 16, 1)",
    "bigmem": "it needs more memory than this machine has free; make it smaller",
    "noparams": "a model without weights to train",
    "notrain": "a model without weights to train",
    "global_policy": "build sets Keras' global policy to mixed_float16",
}
"""Of each other kind, what is told."""
# Of each malformed job: part of its line, and the same mistake in `--set`, None where that has none.
JOBS = {
    "baddate": ("4:7: no timestamp (month must be in 1..12); must be valid YAML", "seed=2024-13-45"),
    "exit_in_space": ("exit_in_space.py:Exit fails: SystemExit: 5 (exit_in_space.py line 3); fix the space", None),
    "hex": ("4:7: no int (invalid literal for int() with base 16: '')", "seed=0x_"),
    "hugeint": ("4:7: no int (Exceeds the limit (4300 digits)", f"seed={'9' * 5000}"),
    "laughranges": ("10:8: holds more than 20,000 values; must be valid YAML", "space.ranges={RANGES}"),
    "longpath": ("storage.path: 'runs/xxxx", f"storage.path=runs/{'x' * 300}"),
    "nulpath": (r"storage.path: 'runs/a\x00b' given; must be a text", r'storage.path="runs/a\0b"'),
    "recmap": ("4:17: a value holds itself; must be valid YAML", "space={ranges: &a {filters: *a}}"),
    "tagint": ("4:7: no int (invalid literal for int() with base 10: 'abc')", "seed=!!int abc"),
    "tagmap": ("4:9: a mapping was expected; must be valid YAML", "search=!!map [1]"),
}  # fmt: skip


class Collection(NamedTuple):
    """The inputs, made in a folder that may be written, and the names of the jobs among them."""

    folder: Path
    jobs: frozenset[str]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """The collection, its images made, before any test adds to the folder."""
    folder = tmp_path_factory.mktemp("collected") / "inputs"
    shutil.copytree(COLLECTED, folder, copy_function=shutil.copyfile)
    for made in (folder, *folder.rglob("*/")):
        made.chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["make.py", str(folder)])
        runpy.run_path(str(COLLECTED / "make.py"))
    jobs = frozenset(str(file.relative_to(folder).with_suffix("")) for file in folder.rglob("*.yaml"))
    return Collection(folder, jobs)


@pytest.fixture
def here(collected: Collection, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The collection as the working folder; a job's folder stays on Python's path no longer than the test."""
    monkeypatch.chdir(collected.folder)
    monkeypatch.setattr("sys.path", [*sys.path])
    return collected.folder


def lines_of(printed: str, label: str) -> list[str]:
    """What `check` prints behind a label, in order."""
    return [line.removeprefix(label).strip() for line in printed.splitlines() if line.startswith(f"{label} ")]


def test_no_input_of_the_collection_is_left_out_here(collected: Collection) -> None:
    named = {*IMAGES, *(f"jobs/{name}" for name in JOBS), "jobs/merge", "17_own_spaces_py/job"}
    assert collected.jobs == named


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_all_used_or_named(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    right = IMAGES[name]
    assert main(["check", f"{name}.yaml"]) == 0
    printed = capsys.readouterr().out
    (images,), (classes,) = lines_of(printed, "images"), lines_of(printed, "classes")
    counts = images.partition(";")[0]
    used = sum(int(count.split()[0]) for count in counts.split(", "))
    assert counts == right.images if isinstance(right.images, str) else used == right.images
    assert classes == right.classes
    said = [line for line in lines_of(printed, "note") if line.startswith(right.note)]
    assert len(said) == 1 or not right.note


def test_training_photographs_are_not_told_from_test_photographs(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "01_training_set.yaml"]) == 0
    (images,) = lines_of(capsys.readouterr().out, "images")
    assert "8 test;" in images, "those of test_set alone"


@pytest.mark.parametrize("name", JOBS)
def test_a_malformed_job_is_one_line(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    right, _ = JOBS[name]
    for command in ("check", "search", "check", "search"):
        began = time.process_time()
        assert main([command, f"jobs/{name}.yaml"]) == 2
        took_secs = time.process_time() - began
        printed = capsys.readouterr()
        (line,) = printed.err.splitlines()
        assert line.startswith("toprung: ") and right in line and not printed.out
    assert took_secs < 1, "of the last command: the first ones import what they need"


@pytest.mark.parametrize("name", [name for name, (_, setting) in JOBS.items() if setting is not None])
def test_the_same_mistake_in_a_setting_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    setting = str(JOBS[name][1])
    if "RANGES" in setting:
        ranges = (here / "jobs" / f"{name}.yaml").read_text().partition("ranges:")[2]
        setting = setting.replace(
            "RANGES", ", ".join(line.strip() for line in ranges.splitlines() if line.strip())
        )
    assert main(["check", "jobs/merge.yaml", "--set", setting]) == 2
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("toprung: ") and setting.partition("=")[0] in line and not printed.out
    assert len(line) < 600, "long values are cut"


@pytest.mark.parametrize("name", [name for name in JOBS if name != "exit_in_space"])
def test_the_same_mistake_in_the_job_of_a_run_is_one_line(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    right, _ = JOBS[name]
    shutil.copyfile(here / "jobs" / f"{name}.yaml", tmp_path / "job.yaml")
    for command in ("status", "table", "retrain"):
        assert main([command, str(tmp_path)]) == 2
        printed = capsys.readouterr()
        (line,) = printed.err.splitlines()
        assert str(tmp_path) in line and right in line and not printed.out


def test_merge_keys_are_merged(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "jobs/merge.yaml"]) == 0
    assert "for search.trials 2" in lines_of(capsys.readouterr().out, "epochs")[0]


def test_a_file_named_like_a_part_of_this_package_is_not_run(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(here / "17_own_spaces_py")
    assert main(["check", "job.yaml"]) == 0
    assert lines_of(capsys.readouterr().out, "job") == ["own: the job is valid"]


@pytest.mark.slow
def test_a_layer_that_is_read_back_otherwise_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "lossy.yaml").write_text("data: digits\nspace: {name: lossy_layer.py:MyFamily}\n")
    assert main(["check", "lossy.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "the exported model answers otherwise than the trained one" in line and "from get_config" in line


@pytest.mark.slow
def test_each_model_of_the_zoo_is_sound_or_told_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = [*SOUND, *UNSOUND]
    settings = {"data": "digits", "space": {"name": "model_zoo.py:MyFamily"}}
    search = {"trials": len(kinds), "max_epochs": 1, "initial_configs": [{"kind": kind} for kind in kinds]}
    (here / "zoo.yaml").write_text(yaml.safe_dump({**settings, "search": search}))
    assert main(["check", "zoo.yaml"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(UNSOUND)
    for line, (kind, right) in zip(lines, UNSOUND.items(), strict=True):
        assert f"kind={kind!r}" in line and right in line
    code = (here / "model_zoo.py").read_text()
    assert set(kinds) == set(ast.literal_eval(code[code.index("[") : code.index("]") + 1])), "every kind"
