"""Tries a user's models before a search, in a process of its own: built, trained on one batch, saved and read back.

    python -m toprung.trainables.probes.model_probe RESULTS        started by `search/preparation/probe_models.py`

The plan and the configurations come pickled on standard input; a line of JSON for each configuration is added to the
file RESULTS, `null` for a sound model, else what is wrong and what to change.
"""

from __future__ import annotations

import json
import pickle
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toprung.spaces.errors import InputError
from toprung.trainables.saved_model.fresh_reader import load_keras
from toprung.trainables.saved_model.loading import module_of
from toprung.trainables.system.resource_limits import limit_memory
from toprung.trainables.task.task import Split
from toprung.trainables.trial.execution import ExecutionPlan
from toprung.trainables.trial.failures import is_out_of_memory, reason_of
from toprung.trainables.worker.trainer_source import CachedTrainerSource

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    import keras

    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.trainer import Trainer
    from toprung.trainables.worker.plan import TrialPlan

MAX_IMAGES = 512
PROBE_PLAN = ExecutionPlan(steps_per_call=1)
GET_CONFIG = "return from get_config all that the constructor of each own layer takes"
TOLERANCE = 1e-3
"""Of a probability: the saved model may round otherwise, and answers otherwise if it is another model."""


@dataclass(frozen=True)
class ProbeRequest:
    """What to try.

    Attributes:
        plan: As of a search's trials.
        configs: The configurations, each built once.
        max_bytes: The memory that this process may take.
    """

    plan: TrialPlan
    configs: Sequence[Mapping[str, object]]
    max_bytes: int


class ProbeSource(CachedTrainerSource):
    """Builds trainers for the first images of the data set: one batch."""

    def task(self, dataset: Dataset) -> Task:
        """The first images, to train on and to validate."""
        whole = dataset.task(self._plan.rules.max_epochs)
        return replace(whole, train=_first(whole.train), val=_first(whole.val))

    @property
    def module(self) -> ModuleType | None:
        """The module of the user's code."""
        return module_of(self._plan.family, "space.name")


def probe(source: ProbeSource, config: Mapping[str, object]) -> tuple[str, str] | None:
    """What is wrong with the model of a configuration, and what to change; None for a sound one."""
    try:
        trainer: Trainer = source.trainer(config, PROBE_PLAN, 1)  # type: ignore[assignment]
        trainer.reset(config, 0)
        metrics = trainer.train_epoch(1)
        if not all(map(np.isfinite, metrics.values())):
            return "its outputs or its loss are not finite after one batch", "mend what makes NaN or infinity"
        return _difference(trainer, source.loaded.task.val, source.module)
    except InputError as error:
        problem = error.problems[0]
        return problem.given, problem.allowed
    except (
        BaseException
    ) as error:  # whatever the user's code raises, sys.exit() and KeyboardInterrupt included
        if is_out_of_memory(error):
            return "it needs more memory than this machine has free", "make it smaller"
        return f"it fails: {reason_of(error)}", "change build, or the layers that it uses"


def _first(split: Split) -> Split:
    return Split(split.images[:MAX_IMAGES], split.labels[:MAX_IMAGES])


def _difference(trainer: Trainer, split: Split, module: ModuleType | None) -> tuple[str, str] | None:
    """What is wrong with the model that is saved, compared on these images with the one that was trained."""
    expected, images = trainer.evaluate(split).probabilities, np.asarray(split.images)
    model = trainer.export()
    try:
        loaded = _read_back(model, module)
    except Exception as error:
        rule = f"register own layers with @keras.saving.register_keras_serializable() and {GET_CONFIG}"
        return f"its saved file cannot be read back: {reason_of(error)}", rule
    for name, one in (("exported", model), ("saved", loaded)):
        found = np.asarray(one(images, training=False))
        largest = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
        if not largest <= TOLERANCE:
            given = (
                f"the {name} model answers otherwise than the trained one (a probability by {largest:.2g})"
            )
            return given, GET_CONFIG
    return None


def _read_back(model: keras.Model, module: ModuleType | None) -> keras.Model:
    """The model from its file, by the rule of retrained models: Keras is given the layers of the user's module."""
    with tempfile.TemporaryDirectory(prefix="toprung-") as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded: keras.Model = load_keras(str(path), module)
        return loaded


def main() -> None:
    """Try what standard input names."""
    request: ProbeRequest = pickle.load(sys.stdin.buffer)
    limit_memory(request.max_bytes)
    source = ProbeSource(request.plan)
    with Path(sys.argv[1]).open("a") as results:
        for config in request.configs:
            results.write(f"{json.dumps(probe(source, config))}\n")
            results.flush()
            source.make_room()


if __name__ == "__main__":
    main()
