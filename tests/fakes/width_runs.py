"""A finished search of made-up trials that differ in one parameter, and the numbers of images it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.choice.searched_run import SearchedRun
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.trainables.trial.report import EpochReport, Outcome

FINGERPRINT = "a" * 20


@dataclass(frozen=True)
class MadeTrial:
    """A completed trial: the val_accuracy of each epoch and its seconds, and the model's parameters."""

    values: Sequence[float]
    secs: Sequence[float]
    parameters: int | None = None


def width_run(root: Path, trials: Sequence[MadeTrial]) -> RunFolder:
    """The run of these trials, whose configurations are {"width": their number}, in a folder below `root`."""
    job = Job.from_dict({"name": "a", "data": "digits", "storage": {"path": str(root)}}, "job")
    folder = RunFolder(job.run_root)
    folder.claim(job).release()
    with RunWriter(folder.root, run_schemas({"width": "int"})) as writer:
        for number, trial in enumerate(trials):
            name, config = f"t{number:05d}", {"width": number}
            reports = [
                EpochReport(name, epoch, {"val_accuracy": value, "val_loss": 1 - value}, secs, elapsed)
                for epoch, (value, secs, elapsed) in enumerate(
                    zip(trial.values, trial.secs, _sums(trial.secs), strict=True), start=1
                )
            ]
            writer.append(PROPOSALS, proposal_row(name, config, number))
            for report in reports:
                writer.append(EPOCHS, epoch_row(report, report.epoch + 100 * number, "KEEP"))
            known = TrialDetails(
                seed=number, gpus=0.0, parameter_count=trial.parameters, data_fingerprint=FINGERPRINT
            )
            writer.append(TRIALS, trial_row(name, config, Outcome.COMPLETED, reports, known))
    return folder


def count_images(monkeypatch: pytest.MonkeyPatch, train: int, val: int) -> None:
    """The images of every run are so many; none is loaded."""
    dataset = SimpleNamespace(fingerprint=FINGERPRINT, counts={"train": train, "val": val})
    monkeypatch.setattr(SearchedRun, "checked_dataset", lambda _: dataset)


def _sums(secs: Sequence[float]) -> list[float]:
    return [sum(secs[: epoch + 1]) for epoch in range(len(secs))]
