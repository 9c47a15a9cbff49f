"""An epoch is measured as trials count it: without what its phase took to compile."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from toprung.trainables.probes import epoch_probe
from toprung.trainables.task.task import Split, Task
from toprung.trainables.trial.resource_usage import ResourceUsage

COMPILE_SECS, TRAINING_SECS = 0.4, 0.1


class SlowToCompile:
    """A trainer that compiles in its second epoch too, as one of a network that is fine-tuned then."""

    def __init__(self, *_: object) -> None:
        self._usage = ResourceUsage()

    def reset(self, *_: object) -> None:
        pass

    def train_epoch(self, _: int) -> None:
        began = time.perf_counter()
        time.sleep(COMPILE_SECS)
        self._usage += ResourceUsage(compile_secs=time.perf_counter() - began)
        time.sleep(TRAINING_SECS)

    def take_usage(self) -> ResourceUsage:
        usage, self._usage = self._usage, ResourceUsage()
        return usage


def test_the_seconds_of_compiling_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    split = Split(np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int32))
    loaded = SimpleNamespace(family=None, task=Task((8, 8, 3), ("a", "b"), 9, split, split))
    trainer_module = SimpleNamespace(Trainer=SlowToCompile)
    monkeypatch.setitem(sys.modules, "toprung.trainables.training.trainer", trainer_module)
    monkeypatch.setattr(epoch_probe, "CachedTrainerSource", lambda _: SimpleNamespace(loaded=loaded))
    secs = epoch_probe.probe_epoch_secs(SimpleNamespace(), {})
    # With what compiling took it would be half a second and more.
    assert TRAINING_SECS <= secs < COMPILE_SECS
