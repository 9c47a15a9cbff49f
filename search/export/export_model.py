"""`toprung export`: write a model in other formats, run each file, and keep it under its name only where it agrees."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.search.choice.searched_run import SearchedRun
from toprung.search.driver.progress_display import PROGRESS_LOG
from toprung.search.export.measure import Answers, Speed, answers, size_bytes, speed
from toprung.search.export.target import NONE, Original, check_request
from toprung.search.export.targets import TARGETS
from toprung.search.retrained.find_model import found_model
from toprung.spaces.errors import InputError
from toprung.trainables.saved_model.loading import LoadedModel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from toprung.search.export.target import Quantization, Run, Target
    from toprung.search.retrained.kept_models import ModelFolder
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.saved_model.predictions import Predictions

FOLDER, TABLE = "export", "exports.json"
REJECTED = "rejected-"
CALIBRATION_IMAGES = 200
_progress_log = logging.getLogger(PROGRESS_LOG)


@dataclass(frozen=True)
class ExportRequest:
    """What is asked of an export.

    Attributes:
        targets: The names of the formats.
        quantizations: What else than float32 to write, in the formats that can.
        least_agreement: The share of the test images on which a file must give the original's label.
    """

    targets: Sequence[str]
    quantizations: Sequence[Quantization] = ()
    least_agreement: float = 0.98


@dataclass(frozen=True)
class Exported:
    """One file and what it was measured to do; the original model has the format `keras`.

    `split` is what it was run on: "test", or "val" where the job has no test images.
    """

    format: str
    quantization: str
    file: str
    is_accepted: bool
    split: str
    answers: Answers
    speed: Speed
    size_bytes: int

    def as_row(self) -> dict[str, Any]:
        """A flat row for a table."""
        head = {"format": self.format, "quantization": self.quantization, "accepted": self.is_accepted}
        return {
            **head,
            "split": self.split,
            **asdict(self.answers),
            "size_bytes": self.size_bytes,
            **asdict(self.speed),
            "file": self.file,
        }


def export_model(named: str, request: ExportRequest) -> list[Exported]:
    """Export a model of a run and measure every file beside the original.

    Args:
        named: A run, of which the champion is exported, or the folder of one of its models.
        request: What to write.

    Raises:
        InputError: There is no such model, or something that the request needs is not installed.
    """
    targets = [TARGETS[name] for name in dict.fromkeys(request.targets)]
    check_request(targets, request.quantizations)
    with found_model(named) as found, TemporaryDirectory(prefix="toprung-") as scratch:
        if found.kept is None:
            given = f"{named} is a model outside of its run, whose test images it is compared on"
            raise InputError.single("RUN", given, "name the run or the folder of the model in it")
        folder = found.kept.folder
        dataset = SearchedRun.read(folder.run).checked_dataset()
        model = LoadedModel.load(found.path, "RUN")
        bench = Bench(dataset, model, request.least_agreement)
        exported = [bench.measured("keras", NONE, found.path, bench.original_run)]
        for target, quantization in _wanted(targets, request.quantizations):
            _progress_log.info(
                "writing %s%s", target.name, "" if quantization == NONE else f", {quantization}"
            )
            path = target.write(bench.original, quantization, Path(scratch))
            made = bench.measured(target.name, quantization, path, target.load(path, bench.threads))
            exported.append(_kept(folder, path, made))
    rows = {(row["format"], row["quantization"]): row for row in _earlier_rows(folder)}
    rows |= {(each.format, each.quantization): each.as_row() for each in exported}
    folder.put(f"{FOLDER}/{TABLE}", (json.dumps(list(rows.values()), indent=1) + "\n").encode())
    return exported


class Bench:
    """The original model, its predictions of the test images, and the measurement of files beside it.

    Where there are no test images, agreement is measured on the validation images.
    """

    def __init__(self, dataset: Dataset, model: LoadedModel, least_agreement: float) -> None:
        from toprung.trainables.models.input_guard import unguarded

        self._task, self._least_agreement = model.description.task, least_agreement
        self._split_name = "test" if dataset.counts["test"] else "val"
        self._split = dataset.test() if dataset.counts["test"] else dataset.val()
        self._said: Predictions = model.predict(self._split.images)
        self.threads = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        self.original = Original(unguarded(model.model), model.description, calibration_images(dataset))
        self.original_run: Run = lambda images: np.asarray(model.model.predict_on_batch(images))

    def measured(self, name: str, quantization: Quantization, path: Path, run: Run) -> Exported:
        """Run a file on the images and time it."""
        said = answers(run, self._split, self._task, self._said)
        timed = speed(run, np.asarray(self._split.images[:1]), self.threads)
        is_accepted = said.agreement >= self._least_agreement
        return Exported(
            name, quantization, path.name, is_accepted, self._split_name, said, timed, size_bytes(path)
        )


def calibration_images(dataset: Dataset, count: int = CALIBRATION_IMAGES) -> np.ndarray:
    """Training images for the ranges of int8, drawn alike from all classes: the first of a set are of one class.

    Args:
        dataset: The images of the search.
        count: How many, at most; at least one of each class.

    Returns:
        uint8 (N, H, W, C).
    """
    train, rng = dataset.train(), np.random.default_rng(0)
    labels = np.asarray(train.labels)
    groups = labels if labels.ndim == 1 else np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
    numbers = np.unique(groups)
    each = max(1, count // len(numbers))
    drawn = [rng.permutation(np.flatnonzero(groups == number))[:each] for number in numbers]
    return np.asarray(train.images[np.sort(np.concatenate(drawn))])


def _earlier_rows(folder: ModelFolder) -> list[dict[str, Any]]:
    if not folder.exists(f"{FOLDER}/{TABLE}"):
        return []
    rows: list[dict[str, Any]] = json.loads(folder.read(f"{FOLDER}/{TABLE}"))
    return rows


def _wanted(
    targets: Sequence[Target], quantizations: Sequence[Quantization]
) -> Iterator[tuple[Target, Quantization]]:
    for target in targets:
        yield target, NONE
        for quantization in dict.fromkeys(quantizations):
            if quantization in target.quantizations:
                yield target, quantization


def _kept(folder: ModelFolder, path: Path, made: Exported) -> Exported:
    """Put what was written into the model's folder, under another name where it does not agree with the original."""
    prefix = "" if made.is_accepted else REJECTED
    if path.is_dir():
        files = {str(file.relative_to(path.parent)): file for file in path.rglob("*") if file.is_file()}
    else:
        files = {file.name: file for file in (path, path.with_suffix(".bin")) if file.exists()}
    for name, file in files.items():
        folder.put(f"{FOLDER}/{prefix}{name}", file.read_bytes())
        folder.delete(
            f"{FOLDER}/{'' if prefix else REJECTED}{name}"
        )  # of an earlier export, judged otherwise
    return Exported(**{**vars(made), "file": folder.path(FOLDER, f"{prefix}{path.name}")})
