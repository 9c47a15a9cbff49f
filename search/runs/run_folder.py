"""The run folder: which job it belongs to, and where its parts are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toprung.results.tables.parts import read_table
from toprung.results.tables.run_lock import RunLock
from toprung.results.tables.schema import PROPOSALS, TRIALS
from toprung.results.tracking.mlflow_runs import Tracking
from toprung.search.jobs.load import dump_job, load_job, override_job, parse_job
from toprung.search.jobs.schema import JobSpec
from toprung.search.jobs.yaml_text import read_mapping
from toprung.spaces.errors import InputError, Problem
from toprung.trainables.system.storage import Storage

if TYPE_CHECKING:
    from toprung.spaces.user_code.source_files import SourceFile

JOB_FILE = "job.yaml"
CODE = "code"


# What may differ when a run is continued: how much more to spend, where, and what happens afterwards.
MAY_CHANGE = frozenset(
    {"search.trials", "search.budgets", "resources", "storage", "tracking", "retrain", "data.path"}
)


@dataclass(frozen=True)
class RunFolder:
    """One run at a local folder or URI."""

    root: str

    @property
    def name(self) -> str:
        """The last part of the root."""
        return self.root.rstrip("/").rpartition("/")[2]

    @property
    def checkpoints(self) -> str:
        """Where the trials' states are."""
        return f"{self.root}/checkpoints"

    @property
    def choices(self) -> str:
        """Where the workers keep how they chose to compute."""
        return f"{self.root}/computation"

    def tracking(self, job: JobSpec) -> Tracking:
        """Where MLflow writes for this run: SQLite in the folder, or in ./runs for a run on an object store."""
        if job.tracking.uri:
            return Tracking(job.tracking.uri, job.tracking.experiment, self.name)
        local = Path(self.root) if "://" not in self.root else Path("runs").absolute() / self.name
        local.mkdir(parents=True, exist_ok=True)
        return Tracking(f"sqlite:///{local}/mlflow.db", job.tracking.experiment, self.name)

    def job(self, where: str = "RUN") -> JobSpec:
        """The job this run belongs to. Raises `InputError`, pointing at `where`, when this is no run folder."""
        allowed = f"must be a run folder, with {JOB_FILE} in it, as `toprung search` makes them"
        try:
            content = bytes(Storage.at(self.root).read(JOB_FILE))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError.single(where, f"{self.root or 'nothing'} is none", allowed) from None
        except OSError as error:
            given = f"{self.root} cannot be read ({_reason(error)})"
            raise InputError.single(where, given, allowed) from None
        file = f"{self.root}/{JOB_FILE}"
        return parse_job(read_mapping(content, file), file)

    def trials_with(self, more: int, otherwise: int) -> int:
        """The number of trials that `search.trials=+more` asks for: `more` than the run has, in its job or its tables,
        once all of its job's have ended; the job's number as long as they have not; for a run that is not there, `more`
        than `otherwise`."""
        if not Storage.at(self.root).exists(JOB_FILE):
            return otherwise + more
        asked = self.job().search.trials
        ended = len(read_table(self.root, TRIALS))
        return ended + more if ended >= asked else asked

    def claim(self, job: JobSpec, fingerprint: str | None = None) -> RunLock:
        """The right to write this run, its job saved in it; to be released. `fingerprint` is that of the images.

        Raises `InputError`: a problem for each setting that differs from the run's own job and may not, one for other
        images, one for a folder that cannot be written, and `RunBusyError` while another search writes it. The folder
        is then as it was.
        """
        try:
            self.check_same(job, fingerprint)
            lock = RunLock(self.root)
            Storage.at(self.root).put(JOB_FILE, dump_job(job).encode())
        except OSError as error:
            raise self._unwritable(_reason(error)) from None
        return lock

    def keep_code(self, code: SourceFile) -> str | None:
        """Keep the text of the model's file beside the tables, each version of it once.

        Returns a line for the log where the run has another version already: its trials are of both.
        """
        name = code_name(code)
        if name is None or code.source is None:
            return None
        file, storage = Path(code.reference.rpartition(":")[0]), Storage.at(self.root)
        versions = [known for known in storage.list(CODE) if known.startswith(f"{file.stem}-")]
        if name not in versions:
            storage.put(f"{CODE}/{name}", code.source.encode())
        others = [known for known in versions if known != name]
        if not others:
            return None
        return (
            f"{file} has changed since trials of this run began ({', '.join(others)} in {self.root}/{CODE})"
        )

    def check_same(self, job: JobSpec, fingerprint: str | None = None) -> None:
        """Raise `InputError` with what keeps the job from continuing the run that is there, if one is."""
        if Storage.at(self.root).exists(JOB_FILE):
            self._refuse_another(job)
            self._refuse_other_images(fingerprint)

    def check_writable(self, where: str = "storage.path") -> None:
        """Raise `InputError`, pointing at `where`, if the run could not be written, as far as can be told without
        making anything."""
        try:
            storage = Storage.at(self.root)
        except OSError as error:
            raise self._unwritable(_reason(error), where) from None
        if not storage.is_local:
            return
        there = next(path for path in (Path(storage.base), *Path(storage.base).parents) if path.exists())
        if not there.is_dir():
            raise self._unwritable(f"{there} is a file", where)
        if not os.access(there, os.W_OK | os.X_OK):
            raise self._unwritable(f"no permission in {there}", where)

    def _unwritable(self, reason: str, where: str = "storage.path") -> InputError:
        given = f"{self.root} cannot be written ({reason})"
        return InputError.single(where, given, "must be a folder that can be written")

    def _refuse_another(self, job: JobSpec) -> None:
        before, now = _flat(self.job().model_dump(mode="json")), _flat(job.model_dump(mode="json"))
        keys = [key for key in sorted(before.keys() | now.keys()) if not _may_change(key)]
        differing = [key for key in keys if before.get(key) != now.get(key)]
        if differing:
            allowed = f"{self.root} belongs to another job; give another `name`, or remove that folder"
            raise InputError(
                Problem(key, f"is {now.get(key)!r} and was {before.get(key)!r}", allowed) for key in differing
            )

    def _refuse_other_images(self, fingerprint: str | None) -> None:
        tables = (read_table(self.root, table) for table in (PROPOSALS, TRIALS))
        # Runs of earlier versions tell it of trials that have ended alone.
        told = [table["data_fingerprint"].dropna() for table in tables if "data_fingerprint" in table]
        known = next((str(values.iloc[0]) for values in told if len(values)), None)
        if fingerprint is not None and known not in (None, fingerprint):
            given = f"the images are others than those of {self.root} (fingerprint {fingerprint[:12]})"
            rule = f"must be {str(known)[:12]}, or give another `name`; an earlier version may have read them otherwise"
            raise InputError.single("data", given, rule)


def code_name(code: SourceFile) -> str | None:
    """The name under which a run keeps this version of a model's file; None where the model is in no file."""
    if code.source is None:
        return None
    digest = hashlib.sha256(code.source.encode()).hexdigest()[:8]
    return f"{Path(code.reference.rpartition(':')[0]).stem}-{digest}.py"


def _reason(error: OSError) -> str:
    return error.strerror or str(error).partition("\n")[0]


def _may_change(key: str) -> bool:
    return any(key == allowed or key.startswith(f"{allowed}.") for allowed in MAY_CHANGE)


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        path = f"{prefix}{key}"
        flat.update(_flat(value, f"{path}.") if isinstance(value, dict) else {path: value})
    return flat


KEY = "search.trials"


def load_extended(path: str | Path, overrides: Sequence[str] = ()) -> JobSpec:
    """Read a job file as `load_job`, and let `search.trials=+N` add to the trials that the run has.

    An extension that was interrupted is not added a second time: the same command goes on with it.
    """
    additions = [text.partition("=+")[2] for text in overrides if text.startswith(f"{KEY}=+")]
    job = load_job(path, [text for text in overrides if not text.startswith(f"{KEY}=+")])
    for more in additions:
        if not more.isdecimal():
            raise InputError.single(f"--set {KEY}", f"'+{more}' given", "must be a number, or + and a number")
        trials = RunFolder(job.run_root).trials_with(int(more), otherwise=job.search.trials)
        job = override_job(job, [f"{KEY}={trials}"])
    return job
