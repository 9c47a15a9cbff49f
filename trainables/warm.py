"""Compiled models kept per structure and reset in place: a new trial costs milliseconds, not a trace.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

import gc
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from trainables.family import Signature, structural_signature
from trainables.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.family import Family
    from trainables.task import Task


class WarmTrainers:
    """At most `capacity` trainers, one per structural signature; the least recently used goes first."""

    def __init__(self, capacity: int = 8) -> None:
        self.capacity = capacity
        self._trainers: OrderedDict[Signature, Trainer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._trainers)

    def trainer(self, family: Family, config: Mapping[str, Any], task: Task) -> Trainer:
        """The trainer for `config`'s structure, built when there is none; `reset` it before training."""
        signature = structural_signature(family, config, task)
        if signature in self._trainers:
            self._trainers.move_to_end(signature)
            self._trainers[signature].use(task)
            return self._trainers[signature]
        while len(self._trainers) >= self.capacity:
            self._trainers.popitem(last=False)
            gc.collect()
        trainer = self._trainers[signature] = Trainer(family, config, task)
        return trainer
