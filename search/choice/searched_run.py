"""What a retraining starts from: a run's job, its trials and epochs, and the images it searched with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from toprung.results.tables.parts import read_tables
from toprung.search.retrained.json_files import check_test_reads
from toprung.search.runs.allowed_changes import check_retrain_overrides
from toprung.spaces.errors import InputError
from toprung.trainables.data.dataset import Dataset, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from toprung.search.jobs.schema import Job
    from toprung.search.runs.run_folder import RunFolder


@dataclass(frozen=True)
class SearchedRun:
    """A run to retrain: its folder, its job with overrides, and its tables `trials` and `epochs`."""

    folder: RunFolder
    job: Job
    trials: pd.DataFrame
    epochs: pd.DataFrame

    @classmethod
    def read(cls, folder: RunFolder, overrides: Sequence[str] = ()) -> SearchedRun:
        """Read the run; `overrides` are `a.b=value` texts. Raises `InputError`."""
        check_retrain_overrides(overrides)
        job = folder.job().overridden(overrides)
        _, epochs, trials = read_tables(folder.root)
        return cls(folder, job, trials, epochs)

    def checked_dataset(self) -> Dataset:
        """The images of the search, looked for once: large folders take minutes to list.

        Raises:
            InputError: The retraining would fail at its end: the run cannot be written, its record of test reads is
                damaged, or the images have changed.
        """
        return self._dataset

    @cached_property
    def _dataset(self) -> Dataset:
        self.folder.check_writable("RUN")
        check_test_reads(self.folder)
        dataset = load(self.job.data_spec())
        recorded = self.trials["data_fingerprint"].dropna()  # a repair may have lost the column
        fingerprint = str(recorded.iloc[0]) if len(recorded) else dataset.fingerprint
        if dataset.fingerprint != fingerprint:
            given = (
                f"the images differ from those of {self.folder.root} (fingerprint {dataset.fingerprint[:12]})"
            )
            raise InputError.single("data", given, f"must be those of fingerprint {fingerprint[:12]}")
        return dataset
