"""The curve of a retraining: its epochs as a table like that of a search, in the folder of its model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from toprung.results.tables.parts import part_name, put_part
from toprung.results.tables.rows import epoch_row, rows_table
from toprung.results.tables.schema import EPOCHS, RUN, epochs_schema
from toprung.trainables.system.storage import Storage
from toprung.trainables.worker.retraining import Phase

if TYPE_CHECKING:
    from toprung.search.retrained.kept_models import ModelFolder
    from toprung.trainables.trial.messages import EpochResult
    from toprung.trainables.trial.report import EpochReport

TABLES = {Phase.FINAL: EPOCHS, Phase.HELD_OUT: "held_out_epochs"}
"""The tables in a model's folder: of the training on train + validation, and of the one that calibrates it."""
DECISION = "TRAIN"


@dataclass
class Curve:
    """The epochs of one training by number; one that was trained again after a crash counts once."""

    phase: Phase
    reports: dict[int, EpochReport] = field(default_factory=dict)

    def add(self, result: EpochResult) -> None:
        """Take every epoch that a result tells of; the first one of a resumed training tells of all before."""
        known = [*result.history, *([result.report] if result.report else [])]
        self.reports |= {report.epoch: report for report in known}

    def put(self, folder: ModelFolder, trial_id: str) -> None:
        """Write the table.

        Values on validation images stand in it only where these were held out: elsewhere they were trained on.
        """
        rows = []
        for index, (_, report) in enumerate(sorted(self.reports.items())):
            metrics = {name: value for name, value in report.metrics.items() if self._counts(name)}
            row = epoch_row(report._replace(trial_id=trial_id, metrics=metrics), index, DECISION)
            rows.append({**row, RUN: folder.run.name})
        names = sorted(
            {name for report in self.reports.values() for name in report.metrics if self._counts(name)}
        )
        table = rows_table(rows, epochs_schema(names))
        storage = Storage.at(folder.path())
        name = TABLES[self.phase]
        for earlier in storage.list(name):  # of an attempt that died before its report was written
            storage.delete(f"{name}/{earlier}")
        put_part(storage, name, part_name(0), table)

    def _counts(self, name: str) -> bool:
        return self.phase is Phase.HELD_OUT or not name.startswith("val_")
