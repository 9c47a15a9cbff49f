"""Runs that the commands read: simulated searches, recorded as the driver records them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toprung.results.tables.schema import SPACE, run_schemas
from toprung.results.tables.space_rows import space_rows
from toprung.results.tables.writer import RunWriter
from toprung.search.driver.checkpoint_retention import CheckpointRetention
from toprung.search.driver.recorder import Recorder, SharedFacts
from toprung.search.jobs.schema import Job
from toprung.search.loop.loop_settings import LoopSettings
from toprung.search.loop.search_loop import SearchLoop
from toprung.search.preparation.prepare import config_kinds, new_strategy, prepared_space
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.definition.introspection import describe
from toprung.trainables.trial.messages import EpochResult, Worker
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.checkpoints import CheckpointStore

MAX_EPOCHS = 9


def value_of(config: dict[str, Any], epoch: int, noise: float) -> float:
    """Best at a learning rate of 3e-3 and no augmentation; NaN from the third epoch on for some."""
    if 0.001 < config["learning_rate"] < 0.002 and epoch > 2:
        return math.nan
    height = 1.0 - abs(math.log10(config["learning_rate"]) + 2.5) / 4 - 0.2 * config["augment"]
    return max(0.0, min(1.0, height * (1.0 - math.exp(-epoch / 4)) + noise))


@pytest.fixture
def made_run(tmp_path: Path) -> Callable[..., RunFolder]:
    """Make a finished run, or with `epochs` one whose driver has died after so many."""

    def make(
        name: str = "made",
        trials: int = 30,
        epochs: int = 10**6,
        seed: int = 0,
        space_name: str = "cnn",
        **search: Any,
    ) -> RunFolder:
        content: dict[str, Any] = {
            "name": name,
            "data": "digits",
            "seed": seed,
            "space": {"name": space_name, "ranges": {"learning_rate": [1e-4, 1e-1]}},
            "search": {"trials": trials, "max_epochs": MAX_EPOCHS, "sampler": "random", **search},
            "storage": {"path": str(tmp_path / "runs")},
            "tracking": {"enabled": False},
        }
        job = Job.from_dict(content, "job")
        folder, space, strategy = (
            RunFolder(job.run_root),
            prepared_space(job),
            new_strategy(job, prepared_space(job)),
        )
        objectives = job.search.optimized
        with (
            folder.claim(job) as lock,
            RunWriter(folder.root, run_schemas(config_kinds(space), objectives), lock=lock) as writer,
        ):
            for row in space_rows(space):
                writer.append(SPACE, row)
            retention = CheckpointRetention(CheckpointStore(folder.checkpoints), objectives.main)
            shared = SharedFacts(objectives, "f" * 16, 1.0, 0.0, frozenset(describe(space)))
            recorder = Recorder(writer, strategy, retention, shared)
            loop = SearchLoop(strategy, recorder, LoopSettings(objectives.main, MAX_EPOCHS))
            train(loop, np.random.default_rng(seed), epochs)
            if epochs >= 10**6:
                loop.close()
        return folder

    return make


def train(loop: SearchLoop, rng: np.random.Generator, epochs: int) -> None:
    """Two workers that train one trial after the other, until so many epochs were reported."""
    while (start := loop.next_trial()) is not None:
        worker, config, epoch, goes_on = Worker("node", 1 + start.number % 2), dict(start.config), 0, True
        if start.number % 11 == 10:
            loop.report(
                start.trial_id,
                EpochResult(None, failure=Outcome.FAILED, error="ValueError: <b> & co"),
                worker,
            )
            continue
        while goes_on:
            if loop.usage.epochs >= epochs:
                return
            epoch += 1
            value = value_of(config, epoch, float(rng.normal(0.0, 0.005)))
            metrics = {
                "val_accuracy": value,
                "val_loss": 1.0 - value,
                "train_accuracy": value,
                "train_loss": 1.0 - value,
            }
            report = EpochReport(start.trial_id, epoch, metrics, 1.0, float(epoch))
            goes_on = str(loop.report(start.trial_id, EpochResult(report), worker)) == "KEEP"
            goes_on = goes_on and epoch < MAX_EPOCHS
