"""A saved model by what the user names: a run, the folder of one of its models, or a .keras file."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from toprung.search.retrained.champion import champion
from toprung.search.retrained.kept_models import FOLDER, MODEL, KeptModel, ModelFolder
from toprung.search.runs.run_folder import JOB_FILE, RunFolder
from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Storage
from toprung.trainables.system.uris import absolute, is_uri, last_name, without_trailing_slash

if TYPE_CHECKING:
    from collections.abc import Iterator

ALLOWED = "must be a run that was retrained, the folder of one of its models, or a model.keras"


@dataclass(frozen=True)
class FoundModel:
    """A model's file on this machine.

    Attributes:
        path: The .keras file.
        kept: The retraining that it is of; None for a file that is in no run.
    """

    path: Path
    kept: KeptModel | None


@contextmanager
def found_model(named: str, where: str = "RUN") -> Iterator[FoundModel]:
    """The model that the user names, for the time of the block; of a run it is the champion.

    Raises:
        InputError: There is none.
    """
    file = Path(named).expanduser()
    if not is_uri(named) and file.is_file():
        kept = kept_model(str(file.absolute().parent))
        yield FoundModel(file, kept)
        return
    kept = kept_model(named)
    if kept is None:
        raise InputError.single(where, f"{named} holds no model", ALLOWED)
    with TemporaryDirectory(prefix="toprung-") as scratch:
        try:
            copy = kept.folder.model_copy(Path(scratch))
        except FileNotFoundError:
            given = f"{kept.folder.path()} has lost its {MODEL}"
            raise InputError.single(where, given, ALLOWED) from None
        with _errors_naming(kept.folder.path(MODEL), str(copy)):
            yield FoundModel(copy, kept)


@contextmanager
def _errors_naming(file: str, copy: str) -> Iterator[None]:
    """Name the file itself in an InputError that names the copy which was read."""
    try:
        yield
    except InputError as error:
        named = [replace(each, given=each.given.replace(copy, file)) for each in error.problems]
        raise InputError(named) from error


def kept_model(named: str) -> KeptModel | None:
    """The champion of a run, or the retraining whose folder is named; None where there is neither."""
    root = without_trailing_slash(absolute(named))
    if Storage.at(root).exists(JOB_FILE):
        return champion(RunFolder(root))
    parent, _, name = root.rpartition("/")
    if last_name(parent) != FOLDER:
        return None
    folder = ModelFolder(RunFolder(parent.rpartition("/")[0]), name)
    report = folder.report()
    return KeptModel(folder, report) if report else None
