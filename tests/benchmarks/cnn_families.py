"""Learning curves of real convolutional networks (Baker et al. 2017) as blackboxes: CIFAR-10, SVHN, TinyImageNet.

The curves and the surrogate between them come from a module beside the data, which is no part of the project.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

FAMILIES = ("cifar10", "svhn", "tiny")
MODULE = Path(__file__).resolve().parents[3] / "shared" / "cnn_curves.py"


class CnnFamily:
    """One family: `curve` gives validation accuracies, an epoch a second."""

    full_trainings = 30

    def __init__(self, task: str, module: Path = MODULE) -> None:
        self.task = task
        self._curves = _load(module).CnnCurves(task)

    @property
    def max_epochs(self) -> int:
        return int(self._curves.max_epochs)

    def space(self, trial: Any) -> dict[str, Any]:
        return dict(self._curves.space(trial))

    def curve(self, config: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        values, secs = self._curves.curve(config)
        return values, secs

    @cached_property
    def reference(self) -> tuple[float, float, float]:
        """(best, median) final value and seconds of a full training over 1500 random configurations."""
        rng = np.random.default_rng(0)
        finals = [self.curve(self._curves.draw(rng))[0][-1] for _ in range(1500)]
        return float(np.max(finals)), float(np.median(finals)), float(self.max_epochs)

    def regret(self, config: Mapping[str, Any]) -> float:
        """How far the final value is below the best: 0 the best of the reference, 1 its median; may be negative."""
        best, median, _ = self.reference
        return (best - float(self.curve(config)[0][-1])) / (best - median)


def _load(path: Path) -> Any:
    if not path.exists():
        raise ImportError(f"{path} is not there")
    spec = importlib.util.spec_from_file_location("cnn_curves", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
