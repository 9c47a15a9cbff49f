"""Compiled models kept per structure and reset in place: a new trial costs milliseconds, not a trace.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from trainables.engine import has_accelerator
from trainables.family import Signature, structural_signature
from trainables.features import FeatureCache
from trainables.feed import feed_for
from trainables.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.data import Split
    from trainables.family import Family
    from trainables.feed import Feed
    from trainables.task import Task


class WarmTrainers:
    """At most `capacity` trainers, one per structural signature; the least recently used goes first.

    Make one per process, after its heavy imports: what is loaded by then is left out of garbage collection.
    """

    def __init__(self, capacity: int = 16) -> None:
        # A dropped trainer is a cycle, and collecting it would otherwise walk TensorFlow's modules for 0.4 s.
        gc.freeze()
        self.capacity = capacity
        self._trainers: OrderedDict[Signature, Trainer] = OrderedDict()
        self._fed: tuple[Split, Feed] | None = None
        self._features = FeatureCache()

    def __len__(self) -> int:
        return len(self._trainers)

    def trainer(self, family: Family, config: Mapping[str, Any], task: Task) -> Trainer:
        """The trainer for `config`'s structure, built when there is none; `reset` it before training."""
        signature = structural_signature(family, config, task)
        if signature in self._trainers:
            self._trainers.move_to_end(signature)
            self._trainers[signature].use(task, self._feed(task.train))
            return self._trainers[signature]
        while len(self._trainers) >= self.capacity:
            self._trainers.popitem(last=False)
            gc.collect()
        trainer = self._trainers[signature] = Trainer(
            family, config, task, self._feed(task.train), features=self._features
        )
        return trainer

    def clear(self) -> None:
        """Drop every trainer, and the training data on the device, to make room."""
        self._trainers.clear()
        self._fed = None
        self._features.clear()
        gc.collect()

    def _feed(self, split: Split) -> Feed:
        """One copy of the training data for all trainers, renewed when a task brings another split."""
        if self._fed is None or self._fed[0] is not split:
            self._fed = (split, feed_for(split, has_accelerator()))
        return self._fed[1]
