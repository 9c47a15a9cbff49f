"""Opens the folder of a job's run for writing: locked, with the state that earlier drivers left."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.results.tables.parts import read_table
from toprung.results.tables.schema import SPACE, TRIALS, run_schemas
from toprung.results.tables.space_rows import space_rows
from toprung.results.tables.writer import RunWriter
from toprung.search.driver.earlier_failures import keep_code_and_retry
from toprung.search.driver.resume import RecordedSearch, resume
from toprung.search.preparation.gpu_sharing import fixed_gpu_share
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.metrics.classification import validation_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from toprung.search.jobs.schema import Job
    from toprung.search.loop.trial_state import ResumedState
    from toprung.search.preparation.prepare import PreparedJob


@dataclass(frozen=True)
class OpenRun:
    """A run folder that only this process writes, its job, and the search's state when it was opened."""

    prepared: PreparedJob
    folder: RunFolder
    writer: RunWriter
    resumed: ResumedState

    @property
    def job(self) -> Job:
        """The job that is run."""
        return self.prepared.job

    @property
    def is_finished(self) -> bool:
        """Whether every trial had ended when it was opened, and no further one is to be proposed."""
        return not self.resumed.unfinished and self.prepared.strategy.exhausted

    def trials(self) -> pd.DataFrame:
        """The table of ended trials as it is on storage now."""
        return read_table(self.folder.root, TRIALS)


@contextmanager
def open_run(prepared: PreparedJob, retry_failed: bool = False) -> Iterator[OpenRun]:
    """Lock the run folder for the block, replay its tables into the strategy, and write the tables until the end.

    Args:
        prepared: The job.
        retry_failed: Whether the trials of the run that raised an error are trained again.

    Raises:
        InputError: The folder belongs to another job or another search writes it; it is then as it was.
        TableWriteError: At the end of the block, what could not be written.
    """
    job = prepared.job
    folder = RunFolder(job.run_root)
    with ExitStack() as stack:
        lock = stack.enter_context(folder.claim(job, prepared.dataset.fingerprint))
        keep_code_and_retry(folder, job.family, retry_failed)
        resumed = resume_run(folder, prepared)
        measured = validation_metrics(len(prepared.dataset.classes), prepared.dataset.task_type)
        schemas = run_schemas(prepared.kinds, job.search.optimized, measured)
        writer = stack.enter_context(RunWriter(folder.root, schemas, lock=lock))
        if read_table(folder.root, SPACE).empty:
            for row in space_rows(prepared.space):
                writer.append(SPACE, row)
        yield OpenRun(prepared, folder, writer, resumed)


def resume_run(folder: RunFolder, prepared: PreparedJob) -> ResumedState:
    """Replay the tables in the folder into the job's strategy and return what is left to do."""
    job = prepared.job
    recorded = RecordedSearch.read(folder.root)
    return resume(prepared.strategy, recorded, job.search.optimized.main, fixed_gpu_share(job))
