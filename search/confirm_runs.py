"""The searches that train chosen configurations with new seeds: the job of one, and what ended ones have found."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from results.leaderboard import UNFIT
from results.parts import read_table, read_tables
from results.schema import TRIALS
from results.storage import Storage
from search.job import Budgets
from search.runfolder import JOB_FILE, RunFolder
from search.settings import number_of
from trainables.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from search.job import JobSpec

    Config = Mapping[str, Any]

FOLDER = "confirm"
NAME_CHARS = 80  # of the run's name in that of its confirmation


@dataclass(frozen=True)
class Training:
    """One training with a new seed: what it ended as, and the objective's value at each of its epochs."""

    outcome: Outcome
    curve: tuple[float, ...]


def confirming(job: JobSpec, folder: RunFolder, configs: Sequence[Config], earlier_runs: int) -> JobSpec:
    """The job that trains each of the configurations once to its end, on the run's images, with seeds of its own.

    Its name and its seed follow from all of that, so that the same question goes on with the same run, and another one,
    after as many as `earlier_runs` have ended, has new seeds.
    """
    text = json.dumps([job.seed, _basis(job), [*map(key, configs)], earlier_runs])
    digest = hashlib.sha256(text.encode()).hexdigest()
    search = {
        "trials": len(configs),
        "min_epochs": job.search.max_epochs,  # nobody is stopped early
        "initial_configs": [dict(config) for config in configs],
        "sampler": "random",
        "variant": "stop",
        "objectives": [],
        "warm_start": [],
        "budgets": Budgets(),
    }
    storage = {"path": f"{folder.root}/{FOLDER}", "keep_stopped": False}
    return job.model_copy(
        update={
            "name": f"{job.name[:NAME_CHARS]}-confirm-{digest[:8]}",
            "seed": int(digest[:7], 16),
            "data": job.data.model_copy(update={"seed": job.split_seed}),
            "search": job.search.model_copy(update=search),
            "storage": job.storage.model_copy(update=storage),
            "tracking": job.tracking.model_copy(update={"uri": folder.tracking(job).uri}),
        }
    )


def ended_runs(folder: RunFolder, job: JobSpec) -> Iterator[RunFolder]:
    """The confirmations of this run whose trainings have all ended, and were of the same kind."""
    for name in Storage.at(folder.root).folders(FOLDER):
        run = RunFolder(f"{folder.root}/{FOLDER}/{name}")
        if Storage.at(run.root).exists(JOB_FILE):
            theirs = run.job()
            has_ended = len(read_table(run.root, TRIALS)) >= theirs.search.trials
            if has_ended and _basis(theirs) == _basis(job):
                yield run


def trainings(runs: Sequence[RunFolder], metric: str) -> defaultdict[str, list[Training]]:
    """Every training of these runs that tells something of its configuration, by the latter's `key`.

    One that lost its worker, or hung, tells nothing.
    """
    known: defaultdict[str, list[Training]] = defaultdict(list)
    for run in runs:
        configs = run.job().search.initial_configs or []
        _, epochs, trials = read_tables(run.root)
        for row in trials.sort_values("trial_id").itertuples():
            outcome, trial_id = Outcome(str(row.outcome)), str(row.trial_id)
            if outcome in {Outcome.COMPLETED, Outcome.STOPPED, *UNFIT}:
                curve = _curve(epochs[epochs["trial_id"] == trial_id], metric)
                known[key(configs[number_of(trial_id)])].append(Training(outcome, curve))
    return known


def key(config: Config) -> str:
    """The same text for the same configuration."""
    return json.dumps(dict(config), sort_keys=True)


def _curve(epochs: pd.DataFrame, metric: str) -> tuple[float, ...]:
    """The values by epoch, up to the first that is not finite."""
    values = (
        epochs.drop_duplicates("epoch").sort_values("epoch")[metric].to_numpy(dtype=float, na_value=np.nan)
    )
    finite = np.isfinite(values)
    return tuple(map(float, values[: len(values) if finite.all() else int(np.argmin(finite))]))


def _basis(job: JobSpec) -> list[Any]:
    """What trainings must share to be compared: images may have moved, but not changed."""
    data = job.data.model_dump(mode="json", exclude={"path", "seed"})
    return [data, job.space.model_dump(mode="json"), job.search.max_epochs, job.split_seed]
