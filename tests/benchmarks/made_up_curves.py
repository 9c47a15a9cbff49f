"""Made-up learning curves, most of kinds that mislead a search: slow starters, noise, fast starters that diverge."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

KINDS = ("slow", "noisy", "diverging", "unrelated", "clean")
EPOCHS = 81


class MadeUp:
    """Six parameters, of which four matter; accuracy rises to a height, an epoch a second.

    slow: the height costs pace, so that the best configurations are the last to rise.
    noisy: every epoch has noise of a fifth of the heights' deviation.
    diverging: a high rate rises fastest, and ends in NaN after some epochs.
    unrelated: the first ninth of the training says nothing about the end.
    clean: none of these.
    """

    full_trainings = 30
    max_epochs = EPOCHS

    def __init__(self, task: str) -> None:
        self.task = task

    def space(self, trial: Any) -> dict[str, Any]:
        config = {
            name: trial.suggest_float(name, 0.0, 1.0) for name in ("depth", "width", "mix", "idle", "rest")
        }
        config["rate"] = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
        return config

    def curve(self, config: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """(values, elapsed_secs), each of shape (81,)."""
        rng = np.random.default_rng(_seed(config))
        epochs = np.arange(1.0, EPOCHS + 1)
        rate = np.log10(config["rate"] / 1e-4) / 3.0
        off = [config["depth"] - 0.7, config["width"] - 0.4, config["mix"] - 0.2, rate - 0.6]
        height = 0.9 * np.exp(-2.0 * float(np.square(off).sum()))
        pace = 2.0 + 6.0 * (1.0 - rate)
        if self.task == "slow":
            pace = 2.0 + 40.0 * (height / 0.9) ** 2
        values = height * (1.0 - np.exp(-epochs / pace))
        if self.task == "noisy":
            values = values + rng.normal(0.0, 0.04, EPOCHS)
        if self.task == "unrelated":
            early = 0.5 * config["idle"] * np.exp(-epochs / 4.0)
            values = values * (1.0 - np.exp(-((epochs / 9.0) ** 2))) + early
        if self.task == "diverging" and rate > 0.7:
            lasts = int(rng.integers(2, 20))
            values = np.where(epochs > lasts, np.nan, 0.3 * (1.0 - np.exp(-epochs)) + 0.1 * rate)
        return values, epochs

    @cached_property
    def reference(self) -> tuple[float, float, float]:
        """(best, median) final value and seconds of a full training over 1500 random configurations."""
        rng = np.random.default_rng(0)
        finals = []
        for _ in range(1500):
            config = dict(zip(("depth", "width", "mix", "idle", "rest"), rng.random(5).tolist(), strict=True))
            config["rate"] = 10.0 ** (3.0 * rng.random() - 4.0)
            finals.append(self._final(config))
        return float(np.max(finals)), float(np.median(finals)), float(EPOCHS)

    def regret(self, config: Mapping[str, Any]) -> float:
        """How far the true height at the end is below the best: 0 the best of the reference, 1 its median."""
        best, median, _ = self.reference
        return (best - self._final(config)) / (best - median)

    def _final(self, config: Mapping[str, Any]) -> float:
        """The last value without noise; 0 where the training diverges."""
        clean = self.curve(config)[0] if self.task != "noisy" else MadeUp("clean").curve(config)[0]
        return float(np.nan_to_num(clean[-1]))


def _seed(config: Mapping[str, Any]) -> int:
    digest = hashlib.blake2b(repr(sorted(config.items())).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")
