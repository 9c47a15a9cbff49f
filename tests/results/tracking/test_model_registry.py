"""A retrained model in the registry: it loads by its alias and takes raw uint8 images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from toprung.results.tracking.mlflow_runs import Tracking, quiet_client
from toprung.results.tracking.model_registry import RetrainedModel, register_model

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> Any:
    import keras

    images = keras.Input((4, 4, 1), dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
    return keras.Model(images, keras.layers.Dense(3, activation="softmax")(flat))


def test_the_latest_retraining_is_the_champion_and_loads_by_its_alias(
    tmp_path: Path, model: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    import mlflow.keras

    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db", "digits", run="quickstart")
    card = tmp_path / "evaluation.json"
    card.write_text("{}")
    metrics = {"test_accuracy": 0.9, "test_loss": float("nan")}
    for expected in (1, 2):
        made = register_model(
            tracking, "digits", RetrainedModel(model, "t00003", {"units": 3}, metrics, [card])
        )
        assert (made.version, made.alias, made.uri) == (expected, "champion", "models:/digits@champion")
    client = quiet_client(tracking.uri)
    assert int(client.get_model_version_by_alias("digits", "champion").version) == 2
    said = capfd.readouterr()
    assert "'digits'" not in said.out + said.err, "MLflow has nothing to say on the terminal"
    run = client.get_run(made.run_id)
    assert (run.info.status, run.data.params) == ("FINISHED", {"units": "3"})
    assert run.data.metrics == {"test_accuracy": 0.9}
    assert [file.path for file in client.list_artifacts(made.run_id)] == ["evaluation.json"]
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 1), dtype=np.uint8)
    again = mlflow.keras.load_model(made.uri)
    np.testing.assert_allclose(again.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-6)
