"""One compiled model and the trial that currently runs on it.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.trainables.metrics.classification import SCORES
from toprung.trainables.models.family import Family, phases_of
from toprung.trainables.optimization.recipe import Recipe
from toprung.trainables.training.batches import (
    TimedChunks,
    epoch_order,
    feed_for,
    sample,
    steps_per_pass,
)
from toprung.trainables.training.compile_warmup import CompileWarmup
from toprung.trainables.training.compiled_model import CompiledModel
from toprung.trainables.training.epoch_schedule import EpochSchedule
from toprung.trainables.training.feature_cache import FeatureCache
from toprung.trainables.training.predictor import Predictor
from toprung.trainables.training.state import State
from toprung.trainables.training.step import StepInputs, Totals
from toprung.trainables.training.timing import fastest_call_secs, few_steps_secs, secs_per_step
from toprung.trainables.trial.execution import ExecutionPlan, ExecutionRecord
from toprung.trainables.trial.resource_usage import ResourceUsage

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras

    from toprung.trainables.metrics.classification import Evaluation
    from toprung.trainables.task.task import Split, Task
    from toprung.trainables.training.batches import Feed


class Trainer:
    """Trains one structure, trial after trial.

    `reset(config, seed)` starts a trial. The same configuration and seed give the same curve, bit for bit, on a new
    and on a used trainer (on one device, with one number of threads and the same plan). Not thread-safe.

    compiled: what the trials of the structure share.
    execution_plan: how the model is computed.

    Args:
        family: The model family.
        config: A configuration of the structure.
        task: What to train and validate on.
        feed: Feeds the training data; by default a new one.
        plan: How to compute; by default float32 without XLA.
        cache: Keeps features of a frozen part; by default a new one.
    """

    def __init__(
        self,
        family: Family,
        config: Mapping[str, Any],
        task: Task,
        feed: Feed | None = None,
        plan: ExecutionPlan | None = None,
        cache: FeatureCache | None = None,
    ) -> None:
        plan = plan or ExecutionPlan()
        self._family = family
        self.compiled = CompiledModel(family, config, task, plan, cache or FeatureCache())
        self._accelerated = self.compiled.device.accelerated
        self._usage = self.compiled.build_usage
        self._warmup = CompileWarmup(self.compiled.engine.xla)
        self._state: State = self.compiled.network.state_signature
        self.use(task, feed or feed_for(task.train, self._accelerated), plan)
        self.reset(config, 0)

    @property
    def traces(self) -> int:
        """How often the training step was traced since it was built."""
        return self.compiled.traces

    @property
    def parameter_count(self) -> int:
        """The numbers in weights and statistics of the model."""
        return self.compiled.network.parameter_count

    @property
    def execution_record(self) -> ExecutionRecord:
        """How the current trial is computed."""
        plan = self.execution_plan
        size = min(self._recipe.batch_size, len(self._task.train.labels))
        return ExecutionRecord(
            self.compiled.device.name,
            plan.precision,
            self.compiled.engine.xla,
            self._rows_per_call,
            -(-size // plan.micro_batches) if plan.micro_batches > 1 else None,
        )

    def take_usage(self) -> ResourceUsage:
        """What building, compiling, waiting for data and validating took since the last call."""
        usage, self._usage = self._usage, ResourceUsage()
        return usage

    def use(self, task: Task, feed: Feed, plan: ExecutionPlan) -> None:
        """Train on `feed` and validate on the task's data from now on.

        Image shape, classes and type of the task must be as before, and all of the plan but `steps_per_call`.
        """
        self._task = task
        self._feed = feed
        self.execution_plan = plan

    def reset(self, config: Mapping[str, Any], seed: int) -> None:
        """Start a trial: initial weights, empty optimizer, seeds and runtime hyperparameters, without a new trace.

        Args:
            config: A configuration of the structure that this trainer was built for.
            seed: The trial's seed.

        Raises:
            InputError: The configuration's recipe is impossible.
        """
        self._recipe = Recipe.from_config(config)
        self._seed = seed
        train, head = self._task.train, self.compiled.network.head
        self._schedule = EpochSchedule(
            self._recipe,
            phases_of(self._family, config, self._task.max_epochs),
            steps_per_pass(len(train.labels), self._recipe.batch_size),
            head.class_weights(np.asarray(train.labels), self._recipe.class_balance),
            self.compiled.head_only.kept(train, self._task.val),
        )
        self._load(self.compiled.initial_state(config, seed, averaged=self._recipe.ema > 0.0))
        self._enter_phase(1)
        if not self._schedule.validates_on_features:
            self._compile_ahead()
        self._rows_per_call: int | None = None

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train epoch `epoch` (1-based), then validate.

        A loss that is not finite ends the epoch at that step: `train_loss` is then that loss, and the validation
        metrics are NaN.

        Returns:
            Each of `Evaluation.scores` as val_NAME; train_accuracy and train_loss, averages over the epoch's batches
            with augmentation and dropout; learning_rate, of the last step; images_per_sec of the training alone.
        """
        self._enter_phase(epoch)
        if self._schedule.validates_on_features:
            # The first epoch that needs features computes them before its clock starts.
            views = [(self._task.val, mirror) for mirror in self._predictor.mirror_switches]
            views += [(self._task.train, False)] if self._schedule.trains_on_features else []
            self._usage += self.compiled.head_only.prepare(self._state, views)
        self._compile_ahead()
        started = time.perf_counter()
        loss, accuracy, steps = self._run_steps(self._epoch_order(epoch), self.execution_plan.steps_per_call)
        images = steps * min(self._recipe.batch_size, len(self._task.train.labels))
        images_per_sec = images / (time.perf_counter() - started)
        is_finite = bool(np.isfinite(loss))
        began = time.perf_counter()
        scores = self.evaluate(self._task.val).scores if is_finite else dict.fromkeys(SCORES, float("nan"))
        self._usage += ResourceUsage(validation_secs=time.perf_counter() - began)
        last_rate = self._schedule.learning_rate(self._state.step - 1)
        self._schedule.observe_loss(loss / steps)
        return {
            **{f"val_{name}": value for name, value in scores.items()},
            "train_accuracy": accuracy / steps,
            "train_loss": loss / steps,
            "learning_rate": last_rate,
            "images_per_sec": images_per_sec,
        }

    def evaluate(self, split: Split) -> Evaluation:
        """Score the current weights on a split, in batches of one size."""
        if self._schedule.validates_on_features and split is self._task.val:
            logits = self._predictor.logits_of_features(self._state, split)
        else:
            logits = self._predictor.logits_of_split(self._state, split)
        return self.compiled.network.head.evaluate(logits, np.asarray(split.labels))

    def clean_train_accuracy(self) -> float:
        """The accuracy on training images as they are: without augmentation and dropout, after the epoch."""
        began = time.perf_counter()
        accuracy = self.evaluate(sample(self._task.train, len(self._task.val))).accuracy
        self._usage += ResourceUsage(validation_secs=time.perf_counter() - began)
        return accuracy

    def latency_ms(self) -> float:
        """Milliseconds from one image as an array to its logits: the fastest of 30 calls."""
        images = self._task.val.images[:1]
        return 1e3 * fastest_call_secs(lambda: self._predictor.logits(self._state, images))

    def secs_per_step(self, steps_per_call: int | None = None) -> float:
        """Seconds of a training step of the last phase; the trial's state is lost."""
        self._schedule.enter(self._task.max_epochs)
        return secs_per_step(lambda order: self._run_steps(order, steps_per_call)[-1], self._epoch_order(1))

    def epoch_secs(self) -> float:
        """Seconds of training the second epoch, by a few steps; right after a reset, and undone.

        Others are known by their epochs from the second on (see `EpochPace`), and many end before a later phase.
        """
        self._schedule.enter(min(2, self._task.max_epochs))
        self._compile_ahead()
        steps = len(self._epoch_order(1))
        # From the second call on no chunk is read ahead: that takes longer than a few steps on the first chunk.
        secs = steps * few_steps_secs(lambda count: self._try_steps(count, self._rows_per_call), steps)
        self._schedule.enter(1)
        return secs

    def try_out(self) -> None:
        """Make a step of the last phase, which trains most, and predict a batch; right after a reset, and undone."""
        self._schedule.enter(self._task.max_epochs)
        self._try_out_epoch()
        self._schedule.enter(1)

    def state(self) -> dict[str, np.ndarray]:
        """Everything a trial needs to continue bit for bit, as arrays on the host, for `load_state`."""
        return {**self._state.arrays(), **self._schedule.state()}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from the `state` of a trial with the same configuration and seed, after a `reset` with them.

        Raises:
            ValueError: The arrays do not fit this structure.
        """
        loaded = State.from_arrays(state)
        averaged = self._state.optimizer.average.shape[0] > 0
        self.compiled.network.check_fits(loaded, averaged)
        self._load(loaded)
        self._schedule.load_state(state)

    def export(self, temperature: float = 1.0) -> keras.Model:
        """The current model: stock layers, raw uint8 images in, class probabilities out, logits over `temperature`."""
        weights, averages = self._predictor.weights(self._state), self._recipe.flip_average
        return self.compiled.network.export(weights, self._state.non_trainable, temperature, averages)

    def release(self) -> None:
        """Free the memory of the current trial, which is lost; `reset` starts the next one."""
        self._state = self.compiled.network.state_signature

    def _enter_phase(self, epoch: int) -> None:
        """Set schedule and augmentation of an epoch; a later phase starts with an empty optimizer."""
        self._schedule.enter(epoch)
        if self._schedule.strength is not None:
            self._state = self.compiled.network.with_augmentation(self._state, self._schedule.strength)
        if epoch == self._schedule.phase.first_epoch > 1:
            self._load(self._state.with_empty_optimizer())

    def _epoch_order(self, epoch: int) -> np.ndarray:
        count, passes = len(self._task.train.labels), self._schedule.passes
        return epoch_order(count, self._recipe.batch_size, self._seed, epoch, passes)

    def _run_steps(
        self, order: np.ndarray, steps_per_call: int | None, only_first: int | None = None
    ) -> tuple[float, float, int]:
        """Train on an order's batches, or at most `only_first` of one call: loss, accuracy added up, steps made."""
        schedule, step, state, feed = self._schedule, self.compiled.step, self._state, self._feed
        run = step.compiled_run if schedule.open_share > 0 else step.compiled_head_run
        split_network = self.compiled.head_only.split_network if schedule.trains_on_features else None
        if split_network:
            feed = self.compiled.head_only.features(self._state, self._task.train)[1]
            state, run = split_network.head_state(self._state), split_network.step.compiled_run
        before = int(np.asarray(state.step))
        totals = Totals(np.zeros((), np.float32), np.zeros((), np.float32))
        chunks = TimedChunks(feed.chunks(order, steps_per_call))
        for images, labels, rows, count in chunks:
            self._rows_per_call = int(rows.shape[0])
            steps = np.asarray(min(count, only_first or count), np.int32)
            opened = schedule.open_share, schedule.depth_decay
            inputs = StepInputs(schedule.hyperparameters, *opened, images, labels, rows, steps)
            state, totals = run(state, totals, inputs)
            if only_first or not np.isfinite(float(np.asarray(totals.loss))):
                break
        self._state = split_network.merged_state(self._state, state) if split_network else state
        self._usage += ResourceUsage(input_wait_secs=chunks.secs)
        loss, accuracy = (float(np.asarray(total)) for total in totals)
        return loss, accuracy, int(np.asarray(state.step)) - before

    def _try_steps(self, count: int, rows: int | None = None) -> float:
        """Make at most `count` steps of a call on `rows` batches, and undo them; the seconds of each, waits apart."""
        order = self._epoch_order(1)[:rows]
        kept, usage, began = self._state, self._usage, time.perf_counter()
        made = self._run_steps(order, self.execution_plan.steps_per_call, only_first=count)[-1]
        secs = time.perf_counter() - began - (self._usage.input_wait_secs - usage.input_wait_secs)
        self._state, self._usage = kept, usage  # what an epoch waited for is counted, and this is none
        return secs / made

    def _try_out_epoch(self) -> None:
        self._try_steps(1)
        self._predictor.try_out(self._state, self._task.val)

    def _compile_ahead(self) -> None:
        is_open, averages = self._schedule.open_share > 0, self._recipe.ema > 0.0
        features = self._schedule.validates_on_features, self._schedule.trains_on_features
        shape = (self._recipe.batch_size, self.execution_plan, bool(is_open), averages, features)
        self._usage += self._warmup.run(shape, self._first_calls)

    def _first_calls(self) -> None:
        if self._schedule.validates_on_features:
            self._try_steps(1)
            self.evaluate(self._task.val)
        else:
            self._try_out_epoch()

    @property
    def _predictor(self) -> Predictor:
        recipe, pieces = self._recipe, self.execution_plan.micro_batches
        return Predictor(self.compiled, pieces, recipe.ema > 0.0, recipe.flip_average)

    def _load(self, state: State) -> None:
        self._state = self.compiled.network.as_tensors(state)
