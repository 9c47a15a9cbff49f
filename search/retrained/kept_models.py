"""The models that a run's retrainings have left: each in a folder of its own under RUN/retrain, never overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.search.retrained.json_files import put_json, read_json
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.system.storage import Storage

if TYPE_CHECKING:
    from pathlib import Path

    from toprung.search.retrained.json_files import Report

FOLDER = "retrain"
MODEL, REPORT, PREDICTIONS, CARD = "model.keras", "report.json", "predictions.parquet", "MODEL_CARD.md"


@dataclass(frozen=True)
class ModelFolder:
    """The folder of one retraining, as in RUN/retrain/t00003-s17: its trial and the seed it was trained with."""

    run: RunFolder
    name: str

    def path(self, *names: str) -> str:
        """The path or URI of something in it."""
        return self.run.path(FOLDER, self.name, *names)

    def read(self, name: str) -> bytes:
        """The content of a file in it. Raises FileNotFoundError."""
        return bytes(Storage.at(self.run.root).read(f"{FOLDER}/{self.name}/{name}"))

    def exists(self, name: str) -> bool:
        """Whether it has a file of this name."""
        return Storage.at(self.run.root).exists(f"{FOLDER}/{self.name}/{name}")

    def put(self, name: str, content: bytes) -> None:
        """Write a file in it."""
        Storage.at(self.run.root).put(f"{FOLDER}/{self.name}/{name}", content)

    def delete(self, name: str) -> None:
        """Remove a file in it; one that is not there is no error."""
        Storage.at(self.run.root).delete(f"{FOLDER}/{self.name}/{name}")

    def model_copy(self, folder: Path) -> Path:
        """The model's file copied into a local folder. Raises FileNotFoundError."""
        path = folder / MODEL
        path.write_bytes(self.read(MODEL))
        return path

    def report(self) -> Report | None:
        """The report, which is written last; None where the retraining has not ended. Raises `InputError`."""
        report: Report | None = read_json(self.run, f"{FOLDER}/{self.name}/{REPORT}")
        return report


@dataclass(frozen=True)
class KeptModel:
    """A retraining that has ended."""

    folder: ModelFolder
    report: Report

    @property
    def name(self) -> str:
        """Its folder's."""
        return self.folder.name

    def save_report(self) -> None:
        """Save the report as it is by now, and in its copy where this model is the champion."""
        run = self.folder.run
        put_json(run, f"{FOLDER}/{self.name}/{REPORT}", self.report)
        shown = read_json(run, f"{FOLDER}/{REPORT}")
        if shown and shown.get("model") == self.name:
            put_json(run, f"{FOLDER}/{REPORT}", self.report)


def kept_models(run: RunFolder) -> list[KeptModel]:
    """Every retraining that has ended, by name. Raises `InputError` where a report is damaged."""
    folders = (ModelFolder(run, name) for name in Storage.at(run.root).folders(FOLDER))
    return [KeptModel(folder, report) for folder in folders if (report := folder.report())]


def new_folder(run: RunFolder, trial_id: str, seed: int) -> ModelFolder:
    """The folder of a new retraining: TRIAL-sSEED, and a number where one with other settings has that name."""
    taken = {kept.name for kept in kept_models(run)}
    name, number = f"{trial_id}-s{seed}", 1
    while name in taken:
        number += 1
        name = f"{trial_id}-s{seed}-{number}"
    return ModelFolder(run, name)


def adopt_earlier_model(run: RunFolder) -> KeptModel | None:
    """Keep, under a name of its own, the one model that an earlier version left as RUN/retrain/model.keras.

    Returns:
        The kept model; None where there is none, or it is a copy of one that is kept.
    """
    report: Report | None = read_json(run, f"{FOLDER}/{REPORT}")
    if report is None or "model" in report:
        return None
    folder = new_folder(run, str(report["trial_id"]), int(report.get("seed") or 0))
    storage = Storage.at(run.root)
    if storage.exists(f"{FOLDER}/{MODEL}"):
        folder.put(MODEL, bytes(storage.read(f"{FOLDER}/{MODEL}")))
    adopted = {**report, "model": folder.name}
    put_json(run, f"{FOLDER}/{folder.name}/{REPORT}", adopted)
    put_json(run, f"{FOLDER}/{REPORT}", adopted)
    return KeptModel(folder, adopted)
