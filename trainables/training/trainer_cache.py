"""Compiled models kept for each structure and reset in place: a new trial costs milliseconds, not a trace.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import gc
import time
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from toprung.trainables.backend.autotune import TrialCost, Workload, choose_execution
from toprung.trainables.backend.engine import device, has_accelerator
from toprung.trainables.models.family import Signature, structural_signature
from toprung.trainables.optimization.recipe import Recipe
from toprung.trainables.training.batches import feed_for, steps_per_pass
from toprung.trainables.training.feature_cache import FeatureCache
from toprung.trainables.training.trainer import Trainer
from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from toprung.trainables.backend.autotune import AutotuneStore
    from toprung.trainables.models.family import Family
    from toprung.trainables.task.task import Split, Task
    from toprung.trainables.training.batches import Feed


class TrainerCache:
    """At most `capacity` trainers, one for each structure and plan; the least recently used goes first.

    One of them at a time holds a trial: the state of the others, several times their weights, is freed.

    Create one in a process, after its heavy imports: what is loaded by then is left out of garbage collection.

    Args:
        capacity: The most trainers.
        request: How the job wants trials computed. What it leaves open is measured with the first structure and then
            holds for all.
        store: Measurements of other processes on such a device; without it each process measures.
        workload: The trials that the measurement is for.
    """

    def __init__(
        self,
        capacity: int = 16,
        request: ExecutionRequest | None = None,
        store: AutotuneStore | None = None,
        workload: Workload | None = None,
    ) -> None:
        # A dropped trainer is a cycle, and collecting it would otherwise walk TensorFlow's modules for 0.4 s.
        gc.freeze()
        self.capacity = capacity
        self._request, self._store = request or ExecutionRequest(), store
        self._workload = workload or Workload()
        self._plan: ExecutionPlan | None = None
        self._trainers: OrderedDict[tuple[Signature, Hashable], Trainer] = OrderedDict()
        self._feed: tuple[Split, Feed] | None = None
        self._features = FeatureCache()

    def __len__(self) -> int:
        return len(self._trainers)

    def trainer(
        self,
        family: Family,
        config: Mapping[str, Any],
        task: Task,
        plan: ExecutionPlan | None = None,
        min_micro_batches: int = 1,
    ) -> Trainer:
        """The trainer of a configuration's structure, built if there is none; `reset` it before training.

        The trial on the trainer returned before is lost, unless that is the same trainer.

        Args:
            family: The model family.
            config: The trial's configuration.
            task: What to train and validate on.
            plan: How to compute; by default as was measured.
            min_micro_batches: Cut batches into at least so many.
        """
        plan = plan or self._measured_plan(family, config, task, min_micro_batches)
        plan = replace(plan, micro_batches=max(plan.micro_batches, min_micro_batches))
        key = self._key(family, config, task, plan)
        if self._trainers and next(reversed(self._trainers)) != key:
            self._trainers[next(reversed(self._trainers))].release()
        if key in self._trainers:
            self._trainers.move_to_end(key)
            self._trainers[key].use(task, self._feed_of(task.train), plan)
            return self._trainers[key]
        while len(self._trainers) >= self.capacity:
            self._trainers.popitem(last=False)
            gc.collect()
        trainer = Trainer(family, config, task, self._feed_of(task.train), plan, self._features)
        self._trainers[key] = trainer
        return trainer

    def clear(self) -> None:
        """Drop every trainer, and the training data on the device, to free memory."""
        self._trainers.clear()
        self._feed = None
        self._features.clear()
        gc.collect()

    def _measured_plan(
        self, family: Family, config: Mapping[str, Any], task: Task, min_micro_batches: int
    ) -> ExecutionPlan:
        def candidate(plan: ExecutionPlan) -> Candidate:
            # Built as any trainer, so that the one chosen is there already.
            plan = replace(plan, micro_batches=min_micro_batches)
            self._trainers.pop(self._key(family, config, task, plan), None)

            def reset() -> Trainer:
                trainer = self.trainer(family, config, task, plan)
                trainer.reset(config, 0)
                return trainer

            return Candidate(reset)

        def trial_cost() -> TrialCost:
            return self._trial_cost(family, config, task)

        if self._plan is None:
            self._plan = choose_execution(self._request, device(), candidate, trial_cost, self._store)
            self._keep_only(replace(self._plan, micro_batches=min_micro_batches))
        return self._plan

    def _trial_cost(self, family: Family, config: Mapping[str, Any], task: Task) -> TrialCost:
        structures = [structural_signature(family, example, task) for example in self._workload.examples]
        models = len(set(structures)) / len(structures) if structures else 1.0
        steps = steps_per_pass(len(task.train.labels), Recipe.from_config(config).batch_size)
        return TrialCost(models, self._workload.epochs * steps)

    @staticmethod
    def _key(
        family: Family, config: Mapping[str, Any], task: Task, plan: ExecutionPlan
    ) -> tuple[Signature, Hashable]:
        return structural_signature(family, config, task), plan.compile_key

    def _keep_only(self, plan: ExecutionPlan) -> None:
        for key in [key for key in self._trainers if key[1] != plan.compile_key]:
            del self._trainers[key]
        gc.collect()

    def _feed_of(self, split: Split) -> Feed:
        """One copy of the training data for all trainers, renewed when a task has another split."""
        if self._feed is None or self._feed[0] is not split:
            self._feed = (split, feed_for(split, has_accelerator()))
        return self._feed[1]


class Candidate:
    """A model that can be timed.

    ready_secs: seconds until it was built and compiled and had made a first step.

    Args:
        reset: Returns the trainer at the start of a trial, and builds it the first time.
    """

    def __init__(self, reset: Callable[[], Trainer]) -> None:
        self._reset = reset
        began = time.perf_counter()
        reset().try_out()
        self.ready_secs = time.perf_counter() - began

    def secs_per_step(self, steps_per_call: int | None) -> float:
        """Seconds of a training step; the trial's state is lost."""
        return self._reset().secs_per_step(steps_per_call)
