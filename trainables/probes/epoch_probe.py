"""How long an epoch of a configuration takes, measured on a part of the images."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from toprung.trainables.training.batches import sample
from toprung.trainables.worker.trainer_source import CachedTrainerSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.task.task import Task
    from toprung.trainables.worker.plan import TrialPlan

MAX_IMAGES = 2048
EPOCHS = 2  # that of a transfer trial trains the head alone in the first one


def probe_epoch_secs(plan: TrialPlan, config: Mapping[str, object]) -> float:
    """Seconds of an epoch, validation included, as the trials of a plan train a configuration, in this process.

    Args:
        plan: What the trials are told.
        config: The configuration.

    Raises:
        Exception: Whatever the model or the images raise.
    """
    from toprung.trainables.training.trainer import Trainer

    loaded = CachedTrainerSource(plan).loaded
    part, share = part_of(loaded.task)
    trainer = Trainer(loaded.family, config, part)
    trainer.reset(config, 0)
    for epoch in range(1, EPOCHS + 1):
        began = time.perf_counter()
        trainer.train_epoch(epoch)
        # A phase may have been compiled, which is not training.
        secs = time.perf_counter() - began - trainer.take_usage().compile_secs
    return secs / share


def part_of(task: Task) -> tuple[Task, float]:
    """The task with at most `MAX_IMAGES` training images and as small a share of the others, and that share."""
    share = min(1.0, MAX_IMAGES / len(task.train))
    train, val = (sample(split, max(1, round(share * len(split)))) for split in (task.train, task.val))
    return replace(task, train=train, val=val, max_epochs=EPOCHS), share
