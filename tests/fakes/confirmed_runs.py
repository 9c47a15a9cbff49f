"""A finished search whose best trials are confirmed, and a search that confirms without training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from toprung.results.analysis.winner import eligible
from toprung.results.tables.parts import read_tables
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, kinds_of, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.trial.objectives import Objective
from toprung.trainables.trial.report import EpochReport, Outcome

Config = Mapping[str, Any]
SEARCHED = [(0.1, [0.2, 0.9]), (0.2, [0.5, 0.8]), (0.3, [0.6, 0.7]), (0.1, [0.5, 0.6]), (0.4, [0.1, 0.2])]
ACCURACY = Objective("val_accuracy", "max")
KINDS = kinds_of([{"learning_rate": 0.1}])
FAMILY = """
class Tenths:
    def space(self, trial):
        return {"learning_rate": trial.suggest_int("tenths", 1, 9) / 10}

    def build(self, config, task):
        import keras

        images = keras.Input(task.image_shape)
        return keras.Model(images, keras.layers.Dense(task.outputs)(keras.layers.Flatten()(images)))
"""


def written(
    folder: RunFolder,
    job: Job,
    trials: list[tuple[Config, list[float], Outcome]],
    fingerprint: str = "a" * 20,
) -> None:
    """The tables of a search of these trials, the value of each epoch given."""
    folder.claim(job).release()
    folder.keep_code(pack_source(job.family))
    with RunWriter(folder.root, run_schemas(KINDS)) as writer:
        for number, (config, values, outcome) in enumerate(trials):
            trial_id = f"t{number:05d}"
            reports = [
                EpochReport(trial_id, epoch, {"val_accuracy": value, "val_loss": 1 - value})
                for epoch, value in enumerate(values, start=1)
            ]
            suggested = {"tenths": round(10 * config["learning_rate"])}
            writer.append(PROPOSALS, proposal_row(trial_id, config, number, suggested=suggested))
            for report in reports:
                writer.append(EPOCHS, epoch_row(report, report.epoch + 100 * number, "keep"))
            facts = TrialDetails(seed=number, data_fingerprint=fingerprint)
            writer.append(TRIALS, trial_row(trial_id, config, outcome, reports, facts))


class Trained:
    """Takes the place of a search: every training has the mean of its configuration, and its seed's own noise."""

    def __init__(
        self,
        mean: Callable[[float], float],
        outcomes: Mapping[float, Outcome] | None = None,
        upto: int | None = None,
    ) -> None:
        self.jobs: list[Job] = []
        self.mean, self.outcomes, self.upto = mean, outcomes or {}, upto

    def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        trials = [
            ({"learning_rate": rate}, [0.1, self.mean(rate) + 0.01 * number], self._outcome(rate))
            for number, rate in enumerate(self.rates[-1], start=1)
        ]
        written(RunFolder(job.run_root), job, trials[: self.upto])

    def _outcome(self, rate: float) -> Outcome:
        return self.outcomes.get(rate, Outcome.COMPLETED)

    @property
    def rates(self) -> list[list[float]]:
        """The learning rate of every training of every job."""
        points = [job.search.initial_configs or [] for job in self.jobs]
        return [[float(params["tenths"] or 0) / 10 for params in some] for some in points]


def searched_folder(tmp_path: Path) -> RunFolder:
    """A run of five trials of two epochs, with a family of its own."""
    family = tmp_path / f"family_of_{tmp_path.name}.py"  # modules are known by their names
    family.write_text(FAMILY)
    job = Job.from_dict(
        {
            "name": "a",
            "space": {"name": f"{family}:Tenths"},
            "seed": 5,
            "data": "digits",
            "search": {"max_epochs": 2, "budgets": {"epochs": 9}, "objectives": ["val_accuracy", "val_loss"]},
            "storage": {"path": str(tmp_path)},
            "retrain": {"confirm": 3, "seeds": 2},
        },
        "job",
    )
    folder = RunFolder(job.run_root)
    written(folder, job, [({"learning_rate": rate}, values, Outcome.COMPLETED) for rate, values in SEARCHED])
    return folder


def board(folder: RunFolder) -> pd.DataFrame:
    _, epochs, trials = read_tables(folder.root)
    return eligible(trials, epochs, ACCURACY)
