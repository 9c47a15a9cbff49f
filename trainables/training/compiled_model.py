"""The model of one structure made ready to train: its network, its initial values and its compiled steps.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.trainables.backend.engine import device, engine_for
from toprung.trainables.models.build import build_model
from toprung.trainables.models.family import frozen_boundary, pretrained_layers, variable_depths
from toprung.trainables.models.initialization import Reinitializer
from toprung.trainables.optimization.optimizers import OptimizerState
from toprung.trainables.optimization.recipe import Recipe
from toprung.trainables.training.frozen_features import HeadOnlyTraining
from toprung.trainables.training.heads import head_for
from toprung.trainables.training.network import Network
from toprung.trainables.training.state import State
from toprung.trainables.training.step import TrainingStep
from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.models.family import Family
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.feature_cache import FeatureCache
    from toprung.trainables.trial.execution import ExecutionPlan

# Streams of random numbers, which tell weights and other variables apart.
WEIGHTS, NON_TRAINABLE = 0, 1


class CompiledModel:
    """What the trials of one structure share.

    network: the model as functions of a state.
    step: the compiled training step of the whole network.
    head_only: the training of the head alone, where the model has a frozen part.
    build_usage: what building and compiling took.

    Args:
        family: The model family.
        config: A configuration of the structure.
        task: The task; its image shape, classes and type are compiled in.
        plan: How the model is computed; all but `steps_per_call` is compiled in.
        cache: Keeps features of a frozen part.
    """

    def __init__(
        self,
        family: Family,
        config: Mapping[str, Any],
        task: Task,
        plan: ExecutionPlan,
        cache: FeatureCache,
    ) -> None:
        began = time.perf_counter()
        model = build_model(family, config, task, plan.precision)
        augments_fully = Recipe.from_config(config).augments_beyond_standard
        self.network = Network(model, head_for(task), augments_fully, variable_depths(family, model))
        self._reinitializer = Reinitializer(self.network.layers, pretrained_layers(family, model))
        self.device = device()
        built = time.perf_counter()
        accelerated = self.device.accelerated
        self.engine = engine_for(model, plan.xla)
        self.step = TrainingStep(self.network, self.engine, not accelerated, plan.micro_batches)
        boundary = frozen_boundary(family, model, config)
        self.head_only = HeadOnlyTraining(self.network, boundary, self.engine, accelerated, cache, plan)
        self.build_usage = ResourceUsage(build_secs=built - began, compile_secs=time.perf_counter() - built)

    @property
    def traces(self) -> int:
        """How often the training steps were traced since they were built."""
        return self.step.traces + self.head_only.traces

    def initial_state(self, config: Mapping[str, Any], seed: int, averaged: bool) -> State:
        """The state at the start of a trial, on the host.

        Args:
            config: The trial's configuration.
            seed: The trial's seed.
            averaged: Whether an average of the weights is kept.
        """
        draw = self._reinitializer.initial_values
        weights = draw(self.network.weights, config, seed, WEIGHTS)
        flat = np.concatenate([np.ravel(value).astype(np.float32) for value in weights])
        zeros = np.zeros_like(flat)
        average = flat if averaged else np.zeros(0, np.float32)
        non_trainable = tuple(draw(self.network.non_trainable, config, seed, NON_TRAINABLE))
        return State(np.asarray(0, np.int32), OptimizerState(flat, zeros, zeros, average), non_trainable)
