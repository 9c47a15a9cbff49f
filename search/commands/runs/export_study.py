"""`toprung export-study`: a run as an Optuna study in a storage that Optuna's own tools open."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from toprung.results.export.optuna_study import frozen_trials, write_study
from toprung.results.tables.parts import read_table, read_tables
from toprung.results.tables.schema import SPACE
from toprung.spaces.errors import InputError
from toprung.trainables.system.uris import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.runs.run_folder import RunFolder

ALLOWED = "must be a database, as in sqlite:///study.db, or a file that ends in .log"


def export_run(folder: RunFolder, storage: str | None) -> Iterator[str]:
    """Write the run as a new study with its name; the lines say what was written.

    Args:
        folder: The run.
        storage: Where Optuna keeps it; None for a SQLite file with the run's name, here.

    Raises:
        InputError: The storage cannot be opened, or has a study of that name already.
    """
    import optuna
    from optuna.study import StudyDirection

    job = folder.job()
    target = storage or f"sqlite:///{folder.name}.db"
    objectives = job.search.optimized
    trials = frozen_trials(read_tables(folder.root), read_table(folder.root, SPACE), objectives)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = {"max": StudyDirection.MAXIMIZE, "min": StudyDirection.MINIMIZE}
    directions = [direction[one.mode] for one in objectives.all]
    try:
        study = optuna.create_study(storage=_storage(target), study_name=folder.name, directions=directions)
    except optuna.exceptions.DuplicatedStudyError:
        given = f"{mask_secrets(target)} has a study {folder.name!r} already"
        raise InputError.single("STORAGE", given, "remove it, or give another storage") from None
    except InputError:
        raise
    except Exception as error:  # whatever a database driver raises
        reason = " ".join(str(error).split()).partition(" (Background")[0] or type(error).__name__
        raise InputError.single(
            "STORAGE", f"{mask_secrets(target)!r} ({mask_secrets(reason)})", ALLOWED
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names(list(objectives.metrics))
    yield f"study      {folder.name} with {write_study(study, trials)} trials in {mask_secrets(target)}"
    yield f"open       optuna.load_study(study_name={folder.name!r}, storage=...), or optuna-dashboard"


def _storage(target: str) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    if target.endswith(".log") and "://" not in target:
        return JournalStorage(JournalFileBackend(target))
    if "://" not in target:
        raise InputError.single("STORAGE", repr(target), ALLOWED)
    return target
