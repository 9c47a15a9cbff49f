"""The retrained model in its run: saved, and loaded again."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from toprung.search.winner.report import REPORT_FILE
from toprung.trainables.system.imports import silence_native_stderr
from toprung.trainables.system.storage import Storage

if TYPE_CHECKING:
    import keras

    from toprung.search.runs.run_folder import RunFolder

MODEL_FILE = "retrain/model.keras"


def save_model(folder: RunFolder, model: keras.Model) -> None:
    """Replace an earlier model by this one, and delete the earlier one's report first."""
    storage = Storage.at(folder.root)
    storage.delete(REPORT_FILE)
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        path = Path(scratch) / "model.keras"
        model.save(path)
        storage.put(MODEL_FILE, path.read_bytes())


def saved_model(folder: RunFolder) -> keras.Model:
    """Load the model that an earlier retraining saved. Raises `FileNotFoundError` without one."""
    content = bytes(Storage.at(folder.root).read(MODEL_FILE))
    with silence_native_stderr():
        import keras
    with tempfile.TemporaryDirectory(prefix="toprung-") as scratch:
        path = Path(scratch) / "model.keras"
        path.write_bytes(content)
        return keras.models.load_model(path)
