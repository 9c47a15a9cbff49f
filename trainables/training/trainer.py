"""One compiled model and the trial that currently runs on it.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from toprung.trainables.backend.engine import device, engine_for
from toprung.trainables.metrics.classification import SCORES
from toprung.trainables.models.build import build_model
from toprung.trainables.models.initialization import Reinitializer
from toprung.trainables.models.phases import phases_of
from toprung.trainables.optimization.optimizers import OptimizerState, learning_rate
from toprung.trainables.optimization.recipe import Recipe
from toprung.trainables.training.batches import (
    TimedChunks,
    batches,
    epoch_order,
    feed_for,
    predict_in_batches,
    steps_per_epoch,
)
from toprung.trainables.training.epoch_schedule import EpochSchedule
from toprung.trainables.training.frozen_features import FeatureCache, HeadOnlyTraining
from toprung.trainables.training.heads import head_for
from toprung.trainables.training.network import Network
from toprung.trainables.training.state import State
from toprung.trainables.training.step import Totals, TrainingStep
from toprung.trainables.training.timing import fastest_call_secs, secs_per_step
from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.metrics.classification import Evaluation
    from toprung.trainables.models.family import Family
    from toprung.trainables.task.task import Split, Task
    from toprung.trainables.training.batches import Feed

WEIGHTS, OTHERS = 0, 1


class Trainer:
    """Trains one structure, trial after trial.

    `reset(config, seed)` starts a trial; the same configuration and seed give the same curve, bit for bit, on
    a new and on a used trainer (on one device, with one number of threads, computed alike). Not thread-safe.
    """

    def __init__(
        self,
        family: Family,
        config: Mapping[str, Any],
        task: Task,
        feed: Feed | None = None,
        computation: ExecutionPlan | None = None,
        features: FeatureCache | None = None,
    ) -> None:
        began = time.perf_counter()
        computation = computation or ExecutionPlan()
        model = build_model(family, config, task, computation.precision)
        self._family = family
        augments_fully = Recipe.from_config(config).augments_beyond_standard
        depths = getattr(family, "depths", lambda _: None)(model)
        self._network = Network(model, head_for(task), augments_fully, depths)
        pretrained = getattr(family, "pretrained", lambda _: ())(model)
        self._first = Reinitializer(self._network.layers, pretrained)
        self._device = device()
        self._accelerated = self._device.accelerated
        built = time.perf_counter()
        self._engine = engine_for(model, computation.xla)
        self._step = TrainingStep(self._network, self._engine, not self._accelerated, computation.parts)
        frozen = getattr(family, "frozen", lambda *_: None)(model, config)
        cache = features or FeatureCache()
        self._head = HeadOnlyTraining(
            self._network, frozen, self._engine, self._accelerated, cache, computation
        )
        self._costs = ResourceUsage(build_secs=built - began, compile_secs=time.perf_counter() - built)
        self._state: State = self._network.state_signature
        self._compiled: set[tuple[object, ...]] = set()
        self.use(task, feed or feed_for(task.train, self._accelerated), computation)
        self.reset(config, 0)

    @property
    def traces(self) -> int:
        """How often the training step was traced since it was built."""
        return self._step.traces + self._head.traces

    def take_costs(self) -> ResourceUsage:
        """What building, compiling, waiting for data and validating took since the last call."""
        taken, self._costs = self._costs, ResourceUsage()
        return taken

    @property
    def parameter_count(self) -> int:
        """How many weights and statistics the model has; seeds and dials do not count."""
        return self._network.parameter_count

    @property
    def computed(self) -> ExecutionRecord:
        """How the trial at hand is computed."""
        parts, size = self.computation.parts, min(self._recipe.batch_size, len(self._task.train.labels))
        return ExecutionRecord(
            self._device.kind,
            self.computation.precision,
            self._engine.xla,
            self._rows_per_call,
            -(-size // parts) if parts > 1 else None,
        )

    def secs_per_step(self, steps_per_call: int | None = None) -> float:
        """Seconds of a training step of the recipe at hand; the trial's state is lost."""
        order = epoch_order(len(self._task.train.labels), self._recipe.batch_size, self._seed, 1)
        return secs_per_step(lambda part: self._run_steps(part, steps_per_call)[-1], order)

    def try_out(self) -> None:
        """Make a training step and predict a batch of validation in vain: the trial's state stays as it is."""
        self._try_step()
        images = self._task.val.images
        first = next(batches(images, self._accelerated, self.computation.parts))
        predict = self._step.compiled_predict
        ops.convert_to_numpy(predict(self._scored_weights, self._state.others, images[first]))

    def use(self, task: Task, feed: Feed, computation: ExecutionPlan) -> None:
        """Train on `feed` and validate on the task's data from now on.

        Image shape and classes must stay, and of `computation` all but `steps_per_call`.
        """
        self._task = task
        self._feed = feed
        self.computation = computation

    def reset(self, config: Mapping[str, Any], seed: int) -> None:
        """Start a trial: first weights, empty optimizer, seeds and dials; nothing is traced again.

        `config` must have the structure this trainer was built for. Raises InputError for an impossible
        recipe.
        """
        self._recipe = Recipe.from_config(config)
        self._seed = seed
        labels = self._task.train.labels
        self._course = EpochSchedule(
            self._recipe,
            phases_of(self._family, config, self._task.max_epochs),
            steps_per_epoch(len(labels), self._recipe.batch_size),
            self._network.outputs.weights(labels, self._recipe.class_balance),
        )
        weights = self._first.draw(self._network.weights, config, seed, WEIGHTS)
        flat = np.concatenate([np.ravel(value).astype(np.float32) for value in weights])
        zeros = np.zeros_like(flat)
        others = tuple(self._first.draw(self._network.others, config, seed, OTHERS))
        average = flat if self._recipe.ema else np.zeros(0, np.float32)
        self._load(State(np.asarray(0, np.int32), OptimizerState(flat, zeros, zeros, average), others))
        self._enter_phase(1)
        if not self._keeps_val:
            self._compile_ahead()
        self._rows_per_call: int | None = None

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train epoch `epoch` (1-based), then validate.

        Returns each of `ClassificationEvaluation.scores` with val_ before it, train_accuracy, train_loss (both
        averaged over
        the epoch's batches, with augmentation and dropout on), learning_rate (of the last step) and
        images_per_sec (training alone). A loss that is not finite ends the epoch at that step: train_loss then
        says what it was, validation is NaN. What compiling a phase takes is told as such.
        """
        self._enter_phase(epoch)
        self._cut_off_features()
        self._compile_ahead()
        started = time.perf_counter()
        order = epoch_order(len(self._task.train.labels), self._recipe.batch_size, self._seed, epoch)
        loss, accuracy, steps = self._run_steps(order, self.computation.steps_per_call)
        images = steps * min(self._recipe.batch_size, len(self._task.train.labels))
        images_per_sec = images / (time.perf_counter() - started)
        is_finite = bool(np.isfinite(loss))
        began = time.perf_counter()
        scores = self.evaluate(self._task.val).scores if is_finite else dict.fromkeys(SCORES, float("nan"))
        self._costs += ResourceUsage(validation_secs=time.perf_counter() - began)
        last_rate = float(learning_rate(self._state.step - 1, self._course.hyper))
        self._course.see(loss / steps)
        return {
            **{f"val_{name}": value for name, value in scores.items()},
            "train_accuracy": accuracy / steps,
            "train_loss": loss / steps,
            "learning_rate": last_rate,
            "images_per_sec": images_per_sec,
        }

    def evaluate(self, split: Split) -> Evaluation:
        """Score the current weights on a split, in batches of one size."""
        weights, others, predict = self._scored_weights, self._state.others, self._step.compiled_predict
        scored = split
        if self._keeps_val and split is self._task.val:
            scored, _ = self._head.seen(self._state, split)
            weights, others = self._head.cut.cut_weights(weights, others)
            predict = self._head.cut.step.compiled_predict
        logits = predict_in_batches(
            lambda images: ops.convert_to_numpy(predict(weights, others, images)),
            scored.images,
            self._accelerated,
            self.computation.parts,
        )
        return self._network.outputs.scored(logits, np.asarray(split.labels))

    def latency_ms(self) -> float:
        """How long one image takes from array to logits, in ms: the fastest of 30 calls, undisturbed by neighbours."""
        images = self._task.val.images[:1]
        weights, others = self._scored_weights, self._state.others
        predict = self._step.compiled_predict
        return 1e3 * fastest_call_secs(lambda: ops.convert_to_numpy(predict(weights, others, images)))

    def state(self) -> dict[str, np.ndarray]:
        """Everything a trial needs to go on bit for bit, as arrays on the host.

        A trainer reset with the same configuration and seed continues from it with `load_state`.
        """
        return {**self._state.arrays(), **self._course.state()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on from `state()` of a trial with the same configuration and seed.

        Raises ValueError when the arrays do not fit this structure.
        """
        loaded = State.from_arrays(state)
        averaged = self._state.moments.average.shape[0] > 0
        self._network.check_fits(loaded.moments, loaded.others, averaged=averaged)
        self._load(loaded)
        self._course.load_state(state)

    def export(self) -> keras.Model:
        """The model as it stands: stock layers, raw uint8 images in, class probabilities out."""
        return self._network.export(self._scored_weights, self._state.others)

    def rest(self) -> None:
        """Free the memory of the trial at hand, which is lost; `reset` starts the next one."""
        self._state = self._network.state_signature

    def _enter_phase(self, epoch: int) -> None:
        """Schedule, open layers and, where a later phase begins, the empty optimizer of this epoch's phase."""
        self._course.enter(epoch)
        if self._course.augment is not None:
            self._state = self._network.augmented(self._state, self._course.augment)
        if epoch == self._course.phase.first_epoch > 1:
            self._load(self._state.with_empty_optimizer())

    def _run_steps(
        self, order: np.ndarray, steps_per_call: int | None, only_one: bool = False
    ) -> tuple[float, float, int]:
        """Loss and accuracy added up over the steps, and how many were run: all of the order, or `only_one`."""
        cut = self._head.cut if self._keeps_train else None
        state = cut.taken(self._state) if cut else self._state
        feed = self._head.seen(self._state, self._task.train)[1] if cut else self._feed
        before = int(state.step)
        totals = Totals(np.zeros((), np.float32), np.zeros((), np.float32))
        hyper, open_share = self._course.hyper, self._course.open_share
        run = self._step.compiled_run if open_share > 0 else self._step.compiled_head_run
        run = cut.step.compiled_run if cut else run
        chunks = TimedChunks(feed.chunks(order, steps_per_call))
        for images, labels, rows, count in chunks:
            steps, self._rows_per_call = np.asarray(1 if only_one else count, np.int32), len(rows)
            state, totals = run(state, totals, hyper, open_share, images, labels, rows, steps)
            if only_one or not np.isfinite(float(totals.loss)):
                break
        self._state = cut.put_back(self._state, state) if cut else state
        self._costs += ResourceUsage(input_wait_secs=chunks.secs)
        return float(totals.loss), float(totals.accuracy), int(state.step) - before

    def _try_step(self) -> None:
        kept = self._state
        order = epoch_order(len(self._task.train.labels), self._recipe.batch_size, self._seed, 1)
        self._run_steps(order, self.computation.steps_per_call, only_one=True)
        self._state = kept

    def _compile_ahead(self) -> None:
        """Where XLA compiles at the first call of a shape, make that call in vain, so that no epoch pays for it."""
        is_open, averages = self._course.open_share > 0, self._recipe.ema > 0.0
        features = self._keeps_val, self._keeps_train
        shape = (self._recipe.batch_size, self.computation, is_open, averages, features)
        if not self._engine.xla or shape in self._compiled:
            return
        self._compiled.add(shape)
        began = time.perf_counter()
        if self._keeps_val:
            self._try_step()
            self.evaluate(self._task.val)
        else:
            self.try_out()
        self._costs += ResourceUsage(compile_secs=time.perf_counter() - began)

    @property
    def _keeps_val(self) -> bool:
        """Whether validation sees through features: while the frozen part has the weights it came with."""
        is_first = self._course.phase.first_epoch == 1 and self._course.phase.open_share == 0.0
        return is_first and self._head.takes(len(self._task.val.labels))

    @property
    def _keeps_train(self) -> bool:
        """Whether training does too: where its images are the same every epoch."""
        varied = self._course.phase.augmented and self._recipe.augment > 0.0
        both = len(self._task.train.labels) + len(self._task.val.labels)
        return not varied and self._keeps_val and self._head.takes(both)

    def _cut_off_features(self) -> None:
        """Where this epoch is the first to need them the head alone and its features are made ready, off its clock."""
        if self._keeps_val:
            splits = [self._task.val, *([self._task.train] if self._keeps_train else [])]
            self._costs += self._head.prepare(self._state, splits)

    @property
    def _scored_weights(self) -> Any:
        """What is evaluated and exported: the average of the weights where one is kept."""
        moments = self._state.moments
        return moments.average if self._recipe.ema else moments.weights

    def _load(self, state: State) -> None:
        self._state = self._network.as_tensors(state)
