"""Where a worker's trainers come from: data and model code are loaded at its first trial.

Heavy libraries are imported inside the functions.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from toprung.spaces.user_code.source_files import unpack_source
from toprung.trainables.backend.autotune import AutotuneStore
from toprung.trainables.data.dataset import load
from toprung.trainables.system.imports import claim_process, import_keras
from toprung.trainables.system.store_settings import adopt_store_settings
from toprung.trainables.trial.resource_usage import process_age_secs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.models.family import Family
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.trainer_cache import TrainerCache
    from toprung.trainables.trial.execution import ExecutionPlan
    from toprung.trainables.worker.interfaces import TrialTrainer
    from toprung.trainables.worker.plan import TrialPlan


@dataclass(frozen=True)
class LoadedWorker:
    """What a worker loads once, at its first trial."""

    trainers: TrainerCache
    family: Family
    dataset: Dataset
    task: Task


_preloaded: dict[str, Dataset] = {}


def preload(plan: TrialPlan) -> Dataset:
    """Load a plan's images and keep them for the next source that needs them: large folders take minutes to list."""
    adopt_store_settings(plan.store_settings)
    _preloaded[_data_key(plan)] = load(replace(plan.data, source=unpack_source(plan.source)))
    return _preloaded[_data_key(plan)]


def _taken_dataset(plan: TrialPlan) -> Dataset:
    if _data_key(plan) not in _preloaded:
        preload(plan)
    return _preloaded.pop(_data_key(plan))


def _data_key(plan: TrialPlan) -> str:
    return repr((plan.data, plan.source))


class CachedTrainerSource:
    """Loads data and model code at the first trial, so that a failure fails that trial and not the Ray actor."""

    def __init__(self, plan: TrialPlan) -> None:
        self._plan = plan
        self._loaded: LoadedWorker | None = None
        self._startup_secs = 0.0

    @property
    def loaded(self) -> LoadedWorker:
        """Data and model code, loaded now if they were not before."""
        if self._loaded is None:
            self._loaded = self._load()
            self._startup_secs = process_age_secs()
        return self._loaded

    def trainer(
        self, config: Mapping[str, object], plan: ExecutionPlan | None, min_micro_batches: int
    ) -> TrialTrainer:
        """The worker's trainer of a configuration's structure, built if it has none."""
        loaded = self.loaded
        return loaded.trainers.trainer(loaded.family, config, loaded.task, plan, min_micro_batches)

    def take_startup_secs(self) -> float:
        """From the start of this process until data and libraries were loaded; 0 after the first call."""
        secs, self._startup_secs = self._startup_secs, 0.0
        return secs

    def make_room(self) -> None:
        """Drop every compiled model."""
        if self._loaded is not None:
            self._loaded.trainers.clear()

    def task(self, dataset: Dataset) -> Task:
        """What the worker trains and validates on."""
        return dataset.task(self._plan.rules.max_epochs)

    def store(self) -> AutotuneStore | None:
        """Where execution plans are shared; None where each process chooses for itself."""
        return AutotuneStore(self._plan.autotune) if self._plan.autotune else None

    def start_backend(self) -> None:
        """Import the backend with what this process was given of its machine: called before its first operation."""
        start_worker_backend(self._plan)

    def _load(self) -> LoadedWorker:
        plan = self._plan
        dataset = _taken_dataset(plan)
        expected = plan.rules.data_fingerprint
        if dataset.fingerprint != expected:
            raise RuntimeError(
                f"the images on this node are not those of the driver: fingerprint {dataset.fingerprint[:12]}, "
                f"expected {expected[:12]}"
            )
        self.start_backend()
        from toprung.trainables.backend.engine import enable_determinism
        from toprung.trainables.models.family import load_family
        from toprung.trainables.training.trainer_cache import TrainerCache

        if plan.deterministic:
            enable_determinism()
        trainers = TrainerCache(request=plan.execution, store=self.store(), workload=plan.workload)
        family = load_family(unpack_source(plan.family))
        return LoadedWorker(trainers, family, dataset, self.task(dataset))


def start_worker_backend(plan: TrialPlan) -> None:
    """Import the backend into a worker's process, with the threads and the share of a GPU that its plan gives it.

    A second call does nothing.
    """
    _start_backend(plan.cpus, plan.gpus)


@cache
def _start_backend(cpus: float, gpus: float) -> None:
    from toprung.trainables.backend.gpu_memory import apply_memory_cap, hide_gpus

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if not gpus:
        hide_gpus()
    claim_process()
    import_keras()
    from toprung.trainables.backend.engine import limit_threads

    limit_threads(max(1, int(cpus)))
    apply_memory_cap(gpus)
