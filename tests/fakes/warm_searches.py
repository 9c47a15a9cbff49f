"""Searches on the digits and their retrainings, in this process and warm: each takes a second or two."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from kept_digits import CONFIG, DIGITS

from toprung.search.evaluation.prediction_table import SCORE, tested_table
from toprung.search.retrained.champion import CHAMPION, Decision, decide
from toprung.search.retrained.json_files import put_json
from toprung.search.retrained.kept_models import FOLDER, MODEL, PREDICTIONS, REPORT, KeptModel, ModelFolder
from toprung.search.runs.run_folder import RunFolder
from toprung.search.strategy.strategy import Decision as Fate
from toprung.search.strategy.strategy import Strategy
from toprung.spaces.families.registry import load_space
from toprung.trainables.data.dataset import load
from toprung.trainables.models.family import load_family
from toprung.trainables.task.task import Task
from toprung.trainables.training.trainer import Trainer
from toprung.trainables.training.trainer_cache import TrainerCache
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.retraining import retrain_task

EPOCHS, TRIALS = 8, 8
RECIPE = {"learning_rate", "optimizer", "batch_size", "label_smoothing"}
RESAMPLES = 2000


@dataclass(frozen=True)
class Searched:
    """A search whose trials were retrained one after the other: each model's test scores, and what it became."""

    scores: dict[str, np.ndarray]
    decisions: list[Decision]

    @property
    def champions(self) -> list[str]:
        """The models that were champion, in order."""
        return [decision.model for decision in self.decisions if decision.alias == CHAMPION]

    @property
    def losses(self) -> list[tuple[float, float]]:
        """For each champion against each that was before it: what it scores more, and the high end of that.

        The end is that of the 95% interval, by resampling the test images: below 0 the champion is worse beyond it.
        """
        rng = np.random.default_rng(0)
        found = []
        for place, name in enumerate(self.champions):
            for earlier in self.champions[:place]:
                change = self.scores[name] - self.scores[earlier]
                means = rng.choice(change, (RESAMPLES, len(change))).mean(axis=1)
                found.append((float(change.mean()), float(np.quantile(means, 0.975))))
        return found


class WarmSearches:
    """The compiled models that all searches share."""

    def __init__(self) -> None:
        self._dataset, self._trainers, self._family = load(DIGITS), TrainerCache(), load_family("cnn")
        self._space = load_space(
            "cnn", fixed={name: value for name, value in CONFIG.items() if name not in RECIPE}
        )

    def run(self, folder: str, seed: int, models: int) -> Searched:
        """Search, then retrain as many trials in random order, and decide after each which model is the champion."""
        trials = self._search(seed)
        chosen = random.Random(seed).sample(sorted(trials), models)
        run, scores = RunFolder(folder), {}
        decisions = []
        for number, trial_id in enumerate(chosen):
            model, scores_of = self._retrained(run, trial_id, trials[trial_id], seed + number)
            scores[model.name] = scores_of
            decisions.append(decide(run, model))
        return Searched(scores, decisions)

    def _search(self, seed: int) -> dict[str, dict[str, Any]]:
        """The configurations of the trials of one search."""
        strategy = Strategy.for_space(self._space, EPOCHS, seed, max_trials=TRIALS)
        task, configs = self._dataset.task(EPOCHS), {}
        while (proposal := strategy.ask()) is not None:
            configs[proposal.trial_id] = proposal.config
            trainer = self._trainer(proposal.config, task, seed)
            for epoch in range(1, EPOCHS + 1):
                report = EpochReport(proposal.trial_id, epoch, trainer.train_epoch(epoch))
                if strategy.report(report) is not Fate.KEEP:
                    break
            strategy.finish(proposal.trial_id, Outcome.COMPLETED)
        return configs

    def _retrained(
        self, run: RunFolder, trial_id: str, config: dict[str, Any], seed: int
    ) -> tuple[KeptModel, np.ndarray]:
        trainer = self._trainer(config, retrain_task(self._dataset, EPOCHS), seed)
        for epoch in range(1, EPOCHS + 1):
            trainer.train_epoch(epoch)
        tested = trainer.evaluate(self._dataset.test())
        table = tested_table(tested, self._dataset.classes, self._dataset.names("test"))
        folder, sink = ModelFolder(run, f"{trial_id}-s{seed}"), io.BytesIO()
        table.to_parquet(sink)
        folder.put(PREDICTIONS, sink.getvalue())
        folder.put(MODEL, b"")
        report = {"model": folder.name, "trial_id": trial_id, "test_images": len(table),
                  "test_accuracy": float(table[SCORE].mean())}  # fmt: skip
        put_json(run, f"{FOLDER}/{folder.name}/{REPORT}", report)
        return KeptModel(folder, report), table[SCORE].to_numpy(float)

    def _trainer(self, config: dict[str, Any], task: Task, seed: int) -> Trainer:
        trainer = self._trainers.trainer(self._family, config, task)
        trainer.reset(config, seed)
        return trainer
