"""Learning curves of LCBench (Zimmer et al. 2021) from the YAHPO surrogate (Pfisterer et al. 2022), as a blackbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

TASKS = (
    "3945",
    "7593",
    "34539",
    "126025",
    "126026",
    "126029",
    "146212",
    "167104",
    "167149",
    "167152",
    "167161",
    "167168",
)
ORDER = ("batch_size", "learning_rate", "momentum", "weight_decay", "num_layers", "max_units", "max_dropout")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "lcbench"
FIRST_TRAINED, LAST = 2, 51  # the surrogate's epoch 1 is the untrained network


class Surrogate:
    """The surrogate network: 52 epochs of one configuration in one call, on one thread."""

    def __init__(self, folder: Path = DATA) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
        self._codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]

    def __call__(self, task: str, epochs: np.ndarray, configs: np.ndarray) -> np.ndarray:
        """Rows of [elapsed seconds, validation accuracy in percent, ...] for rows of (epoch, configuration)."""
        continuous = np.column_stack([epochs, configs]).astype(np.float32)
        codes = np.full((len(continuous), 1), self._codes[task], dtype=np.int32)
        return np.asarray(self._session.run(None, {"x_cat": codes, "x_cont": continuous})[0])


class LCBench:
    """One task: `curve` gives validation accuracy in percent, and seconds or epochs as the clock.

    `untrained` counts the epoch before any training in as the first one, so that curves are one longer.
    """

    full_trainings = 60

    def __init__(
        self, task: str, surrogate: Callable[..., np.ndarray], clock: str = "secs", untrained: bool = False
    ):
        if task not in TASKS:
            raise ValueError(f"task {task!r} is none of the development tasks {TASKS}")
        self.task = task
        self._surrogate = surrogate
        self._clock = clock
        self._epochs = np.arange(FIRST_TRAINED - untrained, LAST + 1)
        self._curves: dict[tuple[float, ...], tuple[np.ndarray, np.ndarray]] = {}

    @property
    def max_epochs(self) -> int:
        return len(self._epochs)

    def space(self, trial: Any) -> dict[str, Any]:
        return {
            "batch_size": trial.suggest_int("batch_size", 16, 512, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            "momentum": trial.suggest_float("momentum", 0.1, 0.99),
            "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1),
            "num_layers": trial.suggest_int("num_layers", 1, 5),
            "max_units": trial.suggest_int("max_units", 64, 1024, log=True),
            "max_dropout": trial.suggest_float("max_dropout", 0.0, 1.0),
        }

    def curve(self, config: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        key = tuple(float(config[name]) for name in ORDER)
        if key not in self._curves:
            self._curves[key] = self._computed(np.array([key]))[0]
        return self._curves[key]

    @cached_property
    def reference(self) -> tuple[float, float, float]:
        """(best, median) final value and mean seconds of a full training over 1500 random configurations."""
        import optuna

        rng = np.random.default_rng(0)
        configs = []
        for _ in range(1500):
            sampler = optuna.samplers.RandomSampler(seed=int(rng.integers(2**31)))
            study = optuna.Study("reference", _storage(), sampler=sampler)
            drawn = self.space(study.ask())
            configs.append([float(drawn[name]) for name in ORDER])
        curves = self._computed(np.array(configs))
        finals = np.array([values[-1] for values, _ in curves])
        secs = np.array([elapsed[-1] for _, elapsed in curves])
        return float(finals.max()), float(np.median(finals)), float(secs.mean())

    def regret(self, config: Mapping[str, Any]) -> float:
        """How far the final value is below the best: 0 the best of the reference, 1 its median; may be negative."""
        best, median, _ = self.reference
        return (best - float(self.curve(config)[0][-1])) / (best - median)

    def _computed(self, configs: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        epochs = np.tile(self._epochs, len(configs))
        rows = self._surrogate(self.task, epochs, np.repeat(configs, len(self._epochs), axis=0)).astype(float)
        secs, values = rows[:, 0].reshape(len(configs), -1), rows[:, 1].reshape(len(configs), -1)
        return [(one, self._elapsed(raw)) for one, raw in zip(values, secs, strict=True)]

    def _elapsed(self, raw: np.ndarray) -> np.ndarray:
        if self._clock == "epochs":
            return np.arange(1.0, len(raw) + 1)
        # The surrogate smooths each epoch alone: its seconds may shrink in places, which time cannot.
        return np.maximum.accumulate(np.maximum(raw, 1e-3 * np.arange(1, len(raw) + 1)))


def _storage() -> Any:
    from toprung.search.strategy.sampling.frozen_study import FrozenStudyStorage

    return FrozenStudyStorage([], 0)
