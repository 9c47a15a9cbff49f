"""One configuration trained for the minutes it is given, for accuracy.py: the first one, a winner, a preset."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from toprung.trainables.data.dataset import Dataset
    from toprung.trainables.task.task import Task
    from toprung.trainables.training.trainer import Trainer

Clock = Callable[[], float]


class ResultLine(NamedTuple):
    """One row of the result; the minutes are those before the test."""

    name: str
    test_accuracy: float
    epochs: int
    parameters: int
    minutes: float


def first_config(space_name: str, fixed: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The whole configuration of the first trial of a search."""
    from toprung.search.preparation.prepare import space_configs
    from toprung.search.strategy.initial_configs import completed
    from toprung.spaces.families.registry import load_space

    space = load_space(space_name, fixed)
    return completed(space, 0, 0, space_configs(space)[0]).config


def trained(
    name: str,
    family_name: str,
    config: Mapping[str, Any],
    data: Dataset,
    secs: float,
    clock: Clock,
    seed: int,
) -> ResultLine:
    """Train on train and validation for the epochs that fit into `secs`, then test."""
    from toprung.trainables.data.concat import concat_splits
    from toprung.trainables.models.family import load_family
    from toprung.trainables.optimization.recipe import Recipe
    from toprung.trainables.training.batches import feed_for
    from toprung.trainables.training.trainer import Trainer

    began = clock()
    # Two epochs, as the first of a transfer trial fits the head alone, and the last is timed.
    family, task, batch = load_family(family_name), task_of(data, 2), Recipe.from_config(config).batch_size
    everything = concat_splits(data.train(), task.val)
    # What is validated each epoch is not asked for, and must not cost much of it.
    val = some(everything, min(64, max(1, len(everything.labels) // 32)))
    task, feed = replace(task, train=everything, val=val), feed_for(everything, False)
    trainer = Trainer(family, config, task, feed)
    secs_per_epoch = on_clock(clock, trainer.secs_per_step) * len(everything.labels) / batch
    epochs = max(1, int((began + secs - clock()) / secs_per_epoch))
    trainer.use(replace(task, max_epochs=epochs), feed, trainer.execution_plan)
    trainer.reset(config, seed)
    for epoch in range(1, epochs + 1):
        trainer.train_epoch(epoch)
    minutes = (clock() - began) / 60
    accuracy = trainer.evaluate(data.test()).accuracy
    return ResultLine(name, accuracy, epochs, trainer.parameter_count, minutes)


def second_epoch_secs(trainer: Trainer, clock: Clock) -> float:
    """What an epoch takes once the step is traced."""
    trainer.train_epoch(1)
    began = clock()
    trainer.train_epoch(2)
    return clock() - began


def on_clock(clock: Clock, measure: Callable[[], float]) -> float:
    """The seconds of the wall that `measure` tells, in those of the clock."""
    began, began_on_wall = clock(), time.perf_counter()
    secs = measure()
    return secs * (clock() - began) / (time.perf_counter() - began_on_wall)


def task_of(data: Dataset, max_epochs: int) -> Task:
    """The task of a data set."""
    from toprung.trainables.task.task import Task

    train, val = data.train(), data.val()
    return Task(
        data.image_shape, data.classes, max_epochs, train, some(val, len(train.labels) // 4), data.task_type
    )


def some(split: Any, count: int) -> Any:
    """About `count` images from everywhere in a split: a validation that costs as little as it should."""
    step = max(1, len(split.labels) // count)
    return type(split)(split.images[::step], split.labels[::step])
