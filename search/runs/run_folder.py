"""The run folder: which job it belongs to, who may write it, and where its files are."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from toprung.results.tables.parts import check_run_tables, part_names, read_table
from toprung.results.tables.run_identity import kept_id
from toprung.results.tables.run_lock import RunLock, is_locked, present_holder
from toprung.results.tables.schema import PROPOSALS, TABLES, TRIALS
from toprung.results.tracking.mlflow.sqlite import sqlite_uri
from toprung.results.tracking.tracking_settings import MLFLOW, SearchDescription, Tracking
from toprung.search.jobs.schema import Job
from toprung.search.jobs.yaml_text import read_mapping
from toprung.search.runs.allowed_changes import may_change
from toprung.search.runs.kept_settings import check_settings, record_settings
from toprung.search.runs.tracked_search import search_description
from toprung.spaces.errors import InputError, Problem
from toprung.spaces.user_code.source_files import SourceFile
from toprung.trainables.system.storage import Storage
from toprung.trainables.system.uris import join, last_name

JOB_FILE = "job.yaml"
CODE = "code"
WANDB_SERVER = "https://api.wandb.ai"


@dataclass(frozen=True)
class RunFolder:
    """One run at a local folder or URI."""

    root: str

    @property
    def name(self) -> str:
        """The last part of the root."""
        return last_name(self.root)

    @property
    def checkpoints(self) -> str:
        """Where the trials' states are."""
        return self.path("checkpoints")

    @property
    def choices(self) -> str:
        """Where the workers keep the execution plans that they chose."""
        return self.path("computation")

    def path(self, *names: str) -> str:
        """The path or URI of something in the folder."""
        return join(self.root, *names)

    def tracking(self, job: Job) -> Tracking:
        """Where MLflow writes for this run, and what it is told of the search.

        Without `tracking.uri` it is SQLite in the folder, or in ./runs for a run on an object store.
        """
        return self._tracking(job, job.tracking.uri or self._sqlite_uri())

    def trackings(self, job: Job, search: SearchDescription | None = None) -> list[Tracking]:
        """Where each tracker of the job writes for this run; `search` is what they are told of it."""
        mlflow = [self.tracking(job)] if job.tracking.enabled else []
        all_of_them = [*mlflow, *(self._also(job, name) for name in job.tracking.also)]
        return [replace(one, search=search or one.search) for one in all_of_them]

    def _also(self, job: Job, tracker: str) -> Tracking:
        if tracker == "tensorboard":
            return self._tracking(job, self.path("tensorboard"), tracker)
        server = os.environ.get("WANDB_BASE_URL", WANDB_SERVER)
        return replace(self._tracking(job, server, tracker), artifacts=str(self._local_folder()))

    def _tracking(self, job: Job, uri: str, tracker: str = MLFLOW) -> Tracking:
        return Tracking(
            uri,
            job.tracking.experiment,
            self.name,
            identity=self._identity(),
            search=search_description(job),
            tracker=tracker,
        )

    def _sqlite_uri(self) -> str:
        return sqlite_uri(self._local_folder() / "mlflow.db")

    def _local_folder(self) -> Path:
        """The folder itself, or ./runs/NAME for a run on an object store; it exists then."""
        storage = Storage.at(self.root)
        folder = Path(storage.base) if storage.is_local else Path("runs").absolute() / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _identity(self) -> str:
        """What tells this run from others of its name on a server; it stays when the folder is moved."""
        return kept_id(Storage.at(self.root))

    def job(self, where: str = "RUN") -> Job:
        """The job this run belongs to.

        Raises:
            InputError: Pointing at `where`, this is no run folder; or its job file was changed since the search wrote
                it, in what a run may not change.
        """
        allowed = "must be a run folder, as `toprung search` makes them"
        try:
            content = bytes(Storage.at(self.root).read(JOB_FILE))
        except (FileNotFoundError, NotADirectoryError):
            raise InputError.single(
                where, f"{self.root or 'the empty path'} holds no {JOB_FILE}", allowed
            ) from None
        except OSError as error:
            given = f"{self.root} cannot be read ({_reason(error)})"
            raise InputError.single(where, given, allowed) from None
        file = self.path(JOB_FILE)
        job = Job.from_dict(read_mapping(content, file), file)
        check_settings(Storage.at(self.root), job, file)
        return job

    def trials_with(self, more: int, new_run_trials: int) -> int:
        """The number of trials that `search.trials=+more` asks for.

        Once all trials of the run's job have ended that is `more` than it has in its tables, and until then the job's
        own number. A run that is not there gets `more` than `new_run_trials`.
        """
        if not Storage.at(self.root).exists(JOB_FILE):
            return new_run_trials + more
        planned = self.job().search.trials
        ended = len(read_table(self.root, TRIALS))
        return ended + more if ended >= planned else planned

    def claim(self, job: Job, fingerprint: str | None = None) -> RunLock:
        """Take the right to write this run and save the job in it; the lock is to be released.

        Args:
            job: The job that continues the run, or begins it.
            fingerprint: That of the images; None where it is not known.

        Raises:
            InputError: With a problem for each setting that differs from the run's own job and may not, one for other
                images, one for a folder that cannot be written. The folder is then as it was.
            RunBusyError: Another search writes the run.
        """
        try:
            self.check_same(job, fingerprint)
            lock = RunLock(self.root)
            storage = Storage.at(self.root)
            storage.put(JOB_FILE, job.to_yaml().encode())
            record_settings(storage, job)
        except OSError as error:
            raise self._unwritable(_reason(error)) from None
        return lock

    def refuse_while_searched(self) -> None:
        """Raise `InputError` where a search writes this run at this moment: its best trial may still be trained."""
        if is_locked(self.root):
            allowed = "wait for its end, or add --now to retrain the best of the trials that have ended"
            raise InputError.single("RUN", f"{self.root} is still being searched", allowed)

    def keep_code(self, code: SourceFile) -> str | None:
        """Keep the text of the model's file beside the tables, each version of it once.

        Returns a line for the log where the run has another version already: its trials are of both.
        """
        name = code_name(code)
        if name is None or code.source is None:
            return None
        file, storage = Path(code.reference.rpartition(":")[0]), Storage.at(self.root)
        versions = [version for version in storage.list(CODE) if version.startswith(f"{file.stem}-")]
        if name not in versions:
            storage.put(f"{CODE}/{name}", code.source.encode())
            for sibling, text in code.siblings.items():
                storage.put(f"{CODE}/{name.removesuffix('.py')}/{sibling}", text.encode())
        earlier = ", ".join(version for version in versions if version != name)
        if not earlier:
            return None
        return f"{file} has changed since trials of this run began ({earlier} in {self.path(CODE)})"

    def kept_code(self, reference: str, fingerprint: str) -> SourceFile | None:
        """The version of a model's file with this fingerprint, as `keep_code` kept it; None where it is not there."""
        storage = Storage.at(self.root)
        version = f"{CODE}/{_stem(reference)}-{fingerprint[:8]}"
        if not storage.exists(f"{version}.py"):
            return None
        siblings = [entry.name for entry in storage.entries(version, recursive=True) if not entry.is_folder]
        texts = {name: _text(storage, f"{version}/{name}") for name in siblings}
        found = SourceFile(reference, _text(storage, f"{version}.py"), texts)
        return found if found.fingerprint == fingerprint else None

    def check_same(self, job: Job, fingerprint: str | None = None) -> None:
        """Raise `InputError` with what keeps the job from continuing the run that is there, if one is."""
        storage = Storage.at(self.root)
        if storage.exists(JOB_FILE):
            self._refuse_another(job)
            self._refuse_other_images(fingerprint)
        elif any(part_names(storage, table) for table in TABLES):
            allowed = f"put the {JOB_FILE} of its search back, or give another `name`"
            raise InputError.single(self.root, f"holds tables and no {JOB_FILE}", allowed)

    def check_tables(self) -> None:
        """Raise DamagedTableError where a search could not go on with the tables; there need not be any."""
        check_run_tables(self.root)

    def holder(self) -> str:
        """The search that writes this run at this moment, in words; empty without one."""
        return str(present_holder(self.root) or "")

    def check_writable(self, where: str = "storage.path") -> None:
        """Raise `InputError`, pointing at `where`, if the run could not be written; nothing is made to find out."""
        try:
            storage = Storage.at(self.root)
        except OSError as error:
            raise self._unwritable(_reason(error), where) from None
        if not storage.is_local:
            return
        try:
            problem = storage.why_unwritable()
        except OSError as error:  # such as a name too long for this file system
            raise self._unwritable(_reason(error), where) from None
        if problem:
            raise self._unwritable(problem, where)

    def _unwritable(self, reason: str, where: str = "storage.path") -> InputError:
        given = f"{self.root} cannot be written ({reason})"
        return InputError.single(where, given, "must be a folder that can be written")

    def _refuse_another(self, job: Job) -> None:
        before, now = self.job().settings(), job.settings()
        keys = [key for key in sorted(before.keys() | now.keys()) if not may_change(key)]
        differing = [key for key in keys if before.get(key) != now.get(key)]
        if differing:
            allowed = f"{self.root} belongs to another job; give another `name`, or remove that folder"
            raise InputError(
                Problem(key, f"is {now.get(key)!r} and was {before.get(key)!r}", allowed) for key in differing
            )

    def _refuse_other_images(self, fingerprint: str | None) -> None:
        recorded = read_table(self.root, PROPOSALS)["data_fingerprint"].dropna()
        if fingerprint is None or recorded.empty or recorded.iloc[0] == fingerprint:
            return
        given = f"the images are not those of {self.root} (their fingerprint is {fingerprint[:12]})"
        raise InputError.single("data", given, f"must be {recorded.iloc[0][:12]}, or give another `name`")


def code_name(code: SourceFile) -> str | None:
    """The name under which a run keeps this version of a model's file; None where the model is in no file."""
    if code.source is None:
        return None
    return f"{_stem(code.reference)}-{code.fingerprint[:8]}.py"


def _stem(reference: str) -> str:
    return Path(reference.rpartition(":")[0]).stem


def _text(storage: Storage, name: str) -> str:
    return bytes(storage.read(name)).decode("utf-8", "replace")


def _reason(error: OSError) -> str:
    return error.strerror or str(error).partition("\n")[0]
