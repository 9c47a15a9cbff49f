"""Compiled models kept per structure and reset in place: a new trial costs milliseconds, not a trace.

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
from toprung.trainables.training.batches import feed_for, steps_per_epoch
from toprung.trainables.training.frozen_features import FeatureCache
from toprung.trainables.training.trainer import Trainer
from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from toprung.trainables.backend.autotune import AutotuneStore
    from toprung.trainables.models.family import Family
    from toprung.trainables.task.task import Split, Task
    from toprung.trainables.training.batches import Feed


class TrainerCache:
    """At most `capacity` trainers, one per structural signature and computation; the least recently used goes first.

    One at a time holds a trial: the state of the others, several times their weights, is freed.

    Make one per process, after its heavy imports: what is loaded by then is left out of garbage collection. How to
    compute is `asked`; what that leaves open is measured with the first structure, for trials as `usual` says, unless
    `choices` knows it from another process on such a device, and holds for all later ones.
    """

    def __init__(
        self,
        capacity: int = 16,
        asked: ExecutionRequest | None = None,
        choices: AutotuneStore | None = None,
        usual: Workload | None = None,
    ) -> None:
        # A dropped trainer is a cycle, and collecting it would otherwise walk TensorFlow's modules for 0.4 s.
        gc.freeze()
        self.capacity = capacity
        self._asked, self._choices, self._usual = asked or ExecutionRequest(), choices, usual or Workload()
        self._computation: ExecutionPlan | None = None
        self._trainers: OrderedDict[tuple[Signature, Hashable], Trainer] = OrderedDict()
        self._fed: tuple[Split, Feed] | None = None
        self._features = FeatureCache()

    def __len__(self) -> int:
        return len(self._trainers)

    def trainer(
        self,
        family: Family,
        config: Mapping[str, Any],
        task: Task,
        computation: ExecutionPlan | None = None,
        least_parts: int = 1,
    ) -> Trainer:
        """The trainer for `config`'s structure, built when there is none; `reset` it before training.

        The trial on the trainer given out before is over, unless that is the same one.

        It computes as `computation` says, by default as was chosen, with a batch in `least_parts` or more.
        """
        computation = computation or self._chosen(family, config, task, least_parts)
        computation = replace(computation, parts=max(computation.parts, least_parts))
        key = self._key(family, config, task, computation)
        if self._trainers and next(reversed(self._trainers)) != key:
            self._trainers[next(reversed(self._trainers))].rest()
        if key in self._trainers:
            self._trainers.move_to_end(key)
            self._trainers[key].use(task, self._feed(task.train), computation)
            return self._trainers[key]
        while len(self._trainers) >= self.capacity:
            self._trainers.popitem(last=False)
            gc.collect()
        feed = self._feed(task.train)
        trainer = self._trainers[key] = Trainer(family, config, task, feed, computation, self._features)
        return trainer

    def _chosen(
        self, family: Family, config: Mapping[str, Any], task: Task, least_parts: int
    ) -> ExecutionPlan:
        def candidate(computation: ExecutionPlan) -> Candidate:
            # Built as any trainer, so that the one chosen is there already.
            in_parts = replace(computation, parts=least_parts)
            self._trainers.pop(self._key(family, config, task, in_parts), None)

            def reset() -> Trainer:
                trainer = self.trainer(family, config, task, in_parts)
                trainer.reset(config, 0)
                return trainer

            return Candidate(reset)

        def per_trial() -> TrialCost:
            return self._per_trial(family, config, task)

        if self._computation is None:
            self._computation = choose_execution(self._asked, device(), candidate, per_trial, self._choices)
            self._drop_others(replace(self._computation, parts=least_parts))
        return self._computation

    def _per_trial(self, family: Family, config: Mapping[str, Any], task: Task) -> TrialCost:
        structures = [structural_signature(family, example, task) for example in self._usual.examples]
        models = len(set(structures)) / len(structures) if structures else 1.0
        batches = steps_per_epoch(len(task.train.labels), Recipe.from_config(config).batch_size)
        return TrialCost(models, self._usual.epochs * batches)

    @staticmethod
    def _key(
        family: Family, config: Mapping[str, Any], task: Task, computation: ExecutionPlan
    ) -> tuple[Signature, Hashable]:
        return structural_signature(family, config, task), computation.compiled

    def clear(self) -> None:
        """Drop every trainer, and the training data on the device, to make room."""
        self._trainers.clear()
        self._fed = None
        self._features.clear()
        gc.collect()

    def _drop_others(self, chosen_one: ExecutionPlan) -> None:
        for key in [key for key in self._trainers if key[1] != chosen_one.compiled]:
            del self._trainers[key]
        gc.collect()

    def _feed(self, split: Split) -> Feed:
        """One copy of the training data for all trainers, renewed when a task brings another split."""
        if self._fed is None or self._fed[0] is not split:
            self._fed = (split, feed_for(split, has_accelerator()))
        return self._fed[1]


class Candidate:
    """A model that can be timed; `reset` gives it at the beginning of a trial, and builds it the first time."""

    def __init__(self, reset: Callable[[], Trainer]) -> None:
        self._reset = reset
        began = time.perf_counter()
        reset().try_out()
        self.ready_secs = time.perf_counter() - began

    def secs_per_step(self, steps_per_call: int | None) -> float:
        """Seconds of a training step, the trial's state lost."""
        return self._reset().secs_per_step(steps_per_call)
