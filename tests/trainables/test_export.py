"""The exported model: raw images in, probabilities out, and nothing of toprung inside."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trainables.task import Task

pytestmark = pytest.mark.slow

ELSEWHERE = """
import sys
sys.modules.update(dict.fromkeys(["search", "cluster", "results", "trainables", "spaces"]))  # importing one fails
import keras, numpy as np
model = keras.models.load_model(sys.argv[1])
assert model.inputs[0].dtype == "uint8"
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


def test_it_loads_without_toprung_and_predicts_the_same(digits: Task, config: dict, tmp_path: Path) -> None:
    from trainables.cnn import CnnFamily
    from trainables.trainer import Trainer

    trainer = Trainer(CnnFamily(), config, digits)
    trainer.train_epoch(1)
    model = trainer.export()
    assert model.count_params() == trainer.parameter_count
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", digits.val.images)
    files = [str(tmp_path / name) for name in ("model.keras", "images.npy", "predicted.npy")]
    subprocess.run([sys.executable, "-I", "-c", ELSEWHERE, *files], cwd=tmp_path, check=True, timeout=120)
    predicted = np.load(tmp_path / "predicted.npy")
    assert predicted == pytest.approx(trainer.evaluate(digits.val).probabilities, abs=1e-5)
    assert predicted.sum(axis=1) == pytest.approx(np.ones(270), abs=1e-5)


def test_training_goes_on_after_an_export(noise: Task, config: dict) -> None:
    from trainables.cnn import CnnFamily
    from trainables.trainer import Trainer

    trainer = Trainer(CnnFamily(), config, noise)
    trainer.train_epoch(1)
    before = trainer.state()
    trainer.export()
    assert all(np.array_equal(value, before[key]) for key, value in trainer.state().items())


def test_dropout_leaves_at_the_rate_it_was_trained_with(noise: Task, config: dict) -> None:
    import keras

    from trainables.cnn import CnnFamily
    from trainables.trainer import Trainer

    trainer = Trainer(CnnFamily(), {**config, "head_dropout": 0.3}, noise)
    layers = trainer.export()._flatten_layers()
    rates = [layer.rate for layer in layers if type(layer) is keras.layers.Dropout]
    assert rates == [pytest.approx(0.3)]
