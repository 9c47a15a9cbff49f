"""Processes of their own: the same curve as in this one, thread limits, and the JAX backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toprung.trainables.task.task import Task

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]

TASK = """
import json, sys
from types import SimpleNamespace
from toprung.trainables.system.imports import claim_process, import_keras
claim_process()
import_keras()
from toprung.trainables.backend.engine import limit_threads
limit_threads(1)
import numpy as np
from toprung.trainables.task.task import Task
from toprung.trainables.training.trainer import Trainer
from toprung.trainables.models.cnn import CnnFamily
arrays = np.load(sys.argv[1])
split = lambda name: SimpleNamespace(images=arrays[name + "_images"], labels=arrays[name + "_labels"])
task = Task(arrays["train_images"].shape[1:], ("a", "b", "c"), 4, split("train"), split("val"))
config, seed = json.loads(sys.argv[2]), 3
"""

REPEATABLY = "from toprung.trainables.backend.engine import enable_determinism\nenable_determinism()\n"

EPOCHS = (
    TASK
    + """
trainer = Trainer(CnnFamily(), config, task)
trainer.reset(config, seed)
compiled = trainer.traces
curve = [trainer.train_epoch(1)]
state = trainer.state()
curve.append(trainer.train_epoch(2))
found = {"curve": curve, "traces": [compiled, trainer.traces]}
"""
)
PRINT = "print(json.dumps(found))"
CURVE = EPOCHS + PRINT
GOES_ON = """
again = Trainer(CnnFamily(), config, task)
again.reset(config, seed)
again.load_state(state)
found["again"] = again.train_epoch(2)
"""
EXPORTS = """
probabilities = np.asarray(trainer.export()(task.val.images))
found["exported"] = float(np.abs(probabilities - trainer.evaluate(task.val).probabilities).max())
"""

AVERAGED = (
    TASK
    + """
trainer, counts = Trainer(CnnFamily(), config, task), []
for ema in (0.0, 0.9, 0.0):
    trainer.take_usage()
    trainer.reset({**config, "ema": ema}, seed)
    compiled = trainer.traces
    trainer.train_epoch(1)
    counts.append([compiled, trainer.traces, trainer.take_usage().compile_secs > 0.0])
print(json.dumps(counts))
"""
)

PHASES = (
    TASK
    + """
from tests.trainables.training.test_frozen_features import small_family
from toprung.trainables.training.compile_warmup import CompileWarmup
trainer, counts, ahead = Trainer(small_family(), config, task), [], [0]
run = CompileWarmup.run

def counting(warmup, shape, first_calls):
    before = trainer.traces
    usage = run(warmup, shape, first_calls)
    ahead[0] += trainer.traces - before
    return usage

CompileWarmup.run = counting
for epoch in (1, 2, 3, 1, 2):
    if epoch == 1:
        trainer.reset(config, seed)
    trainer.take_usage()
    trainer.train_epoch(epoch)
    counts.append([ahead[0], trainer.traces, trainer.take_usage().compile_secs > 0.1])
print(json.dumps(counts))
"""
)


def python(code: str, *arguments: str, **environment: str) -> str:
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def run_elsewhere(task: Task, config: dict, folder: Path, code: str = CURVE, **environment: str) -> Any:
    import numpy as np

    arrays = {f"{name}_images": getattr(task, name).images for name in ("train", "val")}
    arrays |= {f"{name}_labels": getattr(task, name).labels for name in ("train", "val")}
    np.savez(folder / "task.npz", **arrays)
    return json.loads(python(code, str(folder / "task.npz"), json.dumps(config), **environment))


def without_clock(*curve: dict) -> list[dict]:
    return [{key: value for key, value in metrics.items() if key != "images_per_sec"} for metrics in curve]


def test_another_process_gives_the_same_curve_bit_for_bit(noise: Task, config: dict, tmp_path: Path) -> None:
    """On a CPU also where one has operations that must repeat, and the other those that usually do."""
    one, other = (
        run_elsewhere(noise, config, tmp_path, code)
        for code in (EPOCHS + GOES_ON + PRINT, REPEATABLY + CURVE)
    )
    assert without_clock(*one["curve"]) == without_clock(*other["curve"])
    assert one["curve"][1]["val_loss"] == one["again"]["val_loss"]


@pytest.fixture(scope="session")
def jax(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that trains with JAX; such processes keep what they compile for each other."""
    return {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("jax")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def test_the_jax_backend_trains_goes_on_and_exports(
    noise: Task, config: dict, tmp_path: Path, jax: dict
) -> None:
    result = run_elsewhere(noise, config, tmp_path, EPOCHS + GOES_ON + EXPORTS + PRINT, **jax)
    exact = run_elsewhere(noise, config, tmp_path, REPEATABLY + CURVE, **jax)
    first, second = without_clock(*result["curve"])
    assert [first, second] == without_clock(*exact["curve"]), "on a CPU"
    assert [second] == without_clock(result["again"])
    assert second["train_loss"] < first["train_loss"] < 3.0
    assert result["traces"] == [1, 1], "compiled before the first epoch, and once"
    assert result["exported"] < 1e-5


def test_under_jax_what_an_average_compiles_anew_is_compiled_before_the_epoch(
    noise: Task, config: dict, tmp_path: Path, jax: dict
) -> None:
    counts = run_elsewhere(noise, config, tmp_path, AVERAGED, **jax)
    assert counts == [[1, 1, False], [2, 2, True], [2, 2, False]]


def test_under_jax_each_phase_is_compiled_before_its_first_epoch(
    noise: Task, tmp_path: Path, jax: dict
) -> None:
    config = {"dense_units": 0, "head_epochs": 1, "top_epochs": 2, "batch_size": 16, "backbone": "small"}
    counts = run_elsewhere(noise, config, tmp_path, PHASES, **jax)
    assert counts == [[1, 1, True], [2, 2, True], [2, 2, False], [2, 2, False], [2, 2, False]]


def test_thread_limits_hold_and_come_before_the_first_operation() -> None:
    printed = python(
        "from toprung.trainables.backend.engine import limit_threads, limit_gpu_memory\n"
        "limit_threads(1); limit_gpu_memory(512)\n"
        "import tensorflow as tf\n"
        "tf.constant(1) + 1\n"
        "try: limit_threads(2)\n"
        "except RuntimeError: print(tf.config.threading.get_intra_op_parallelism_threads(), 'and too late')\n",
        KERAS_BACKEND="tensorflow",
    )
    assert printed == "1 and too late"


def test_a_backend_that_cannot_train_here_is_named(one_thread: None, monkeypatch) -> None:
    import keras

    from toprung.trainables.backend.engine import engine_for

    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(ValueError, match="openvino"):
        engine_for(keras.Sequential(), xla=False)


def test_under_tensorflow_an_operation_that_cannot_repeat_says_so() -> None:
    printed = python(
        REPEATABLY + "import tensorflow as tf\n"
        "try: tf.random.normal(())\n"
        "except RuntimeError as error: print(error)\n",
        KERAS_BACKEND="tensorflow",
    )
    assert "determinism" in printed
