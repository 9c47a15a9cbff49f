"""A retrained model in the registry: found by its alias, it takes image files and answers with labels."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from toprung.results.tracking.mlflow.client import quiet_client
from toprung.results.tracking.mlflow.model_registry import RetrainedModel, register_model
from toprung.results.tracking.tracking_settings import Tracking
from toprung.spaces.user_code.source_files import SourceFile
from toprung.trainables.saved_model.description import ModelDescription, describe_file

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
ABOUT = ModelDescription(
    "t00003-s1", "quickstart", "t00003", ("a", "b", "c"), "softmax", (4, 4, 1), "stretch", 1.0, "d" * 64, "e" * 64,
    "0.1.0", SourceFile("cnn"),
)  # fmt: skip
MAKE = """
import sys, keras
images = keras.Input((4, 4, 1), dtype="uint8")
flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
keras.Model(images, keras.layers.Dense(3, activation="softmax")(flat)).save(sys.argv[1])
"""


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.keras"
    subprocess.run([sys.executable, "-c", MAKE, str(path)], check=True, capture_output=True)
    describe_file(path, ABOUT)
    return path


def aliases(client: Any) -> dict[str, int]:
    return {name: int(version) for name, version in client.get_registered_model("digits").aliases.items()}


def test_a_promoted_challenger_stays_the_version_that_it_is(model_file: Path, tmp_path: Path) -> None:
    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db", "digits", run="quickstart")
    first, second = (
        RetrainedModel(model_file, trial, {}, {}, {"toprung.trial": trial, "toprung.why": "tested"})
        for trial in ("t00003", "t00004")
    )
    champion = register_model(tracking, "digits", "champion", first)
    challenger = register_model(tracking, "digits", "challenger", second)
    told = RetrainedModel(model_file, "t00004", {}, {}, {"toprung.why": "promoted"})
    promoted = register_model(tracking, "digits", "champion", told, challenger.version_uri)
    assert (promoted.version, promoted.run_id) == (challenger.version, challenger.run_id)
    client = quiet_client(tracking.uri)
    found = {int(each.version): each for each in client.search_model_versions("name = 'digits'")}
    assert {number: each.tags["toprung.why"] for number, each in found.items()} == {
        1: "tested",
        2: "promoted",
    }
    assert aliases(client) == {"champion": 2}
    again = register_model(tracking, "digits", "champion", first, champion.version_uri)
    assert again.version == 1 and aliases(client) == {"champion": 1}
    lost = register_model(tracking, "digits", "challenger", second, "models:/digits/9")
    assert lost.version == 3, "a version that is not there any more is registered anew"


def test_the_alias_moves_to_the_latest_model_of_its_kind_which_loads_and_classifies_files(
    model_file: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import mlflow.pyfunc

    tracking = Tracking(f"sqlite:///{tmp_path}/mlflow.db", "digits", run="quickstart")
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# A model")
    metrics = {"test_accuracy": 0.9, "test_loss": float("nan")}
    for expected, alias in ((1, "champion"), (2, "challenger"), (3, "champion")):
        retrained = RetrainedModel(
            model_file, "t00003", {"units": 3}, metrics, {"toprung.trial": "t00003"}, [card]
        )
        made = register_model(tracking, "digits", alias, retrained)
        assert (made.version, made.alias, made.alias_uri) == (expected, alias, f"models:/digits@{alias}")
    client = quiet_client(tracking.uri)
    versions = {
        alias: client.get_model_version_by_alias("digits", alias) for alias in ("champion", "challenger")
    }
    assert {alias: int(found.version) for alias, found in versions.items()} == {
        "champion": 3,
        "challenger": 2,
    }
    assert versions["champion"].tags["toprung.trial"] == "t00003"
    said = capfd.readouterr()
    assert "'digits'" not in said.out + said.err, "MLflow has nothing to say on the terminal"
    run = client.get_run(made.run_id)
    assert (run.info.status, run.data.params) == ("FINISHED", {"units": "3"})
    assert run.data.metrics == {"test_accuracy": 0.9}
    assert [file.path for file in client.list_artifacts(made.run_id)] == ["MODEL_CARD.md"]
    loaded = mlflow.pyfunc.load_model(made.alias_uri)
    assert loaded.metadata.signature.inputs.input_names() == ["image"]
    sink = io.BytesIO()
    Image.fromarray(np.full((9, 7, 3), 200, np.uint8)).save(sink, "PNG")
    (answer,) = loaded.predict(pd.DataFrame({"image": [base64.b64encode(sink.getvalue()).decode()]}))
    assert answer["label"] in ABOUT.classes
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    assert answer["probability"] == max(answer["probabilities"].values())
    wrapped = base64.encodebytes(sink.getvalue()).decode()
    assert "\n" in wrapped and loaded.predict(pd.DataFrame({"image": [wrapped]})) == [answer]
    for text in ("a text!", "Größe"):
        with pytest.raises(mlflow.exceptions.MlflowException, match="image 0: a text that is no base64"):
            loaded.predict(pd.DataFrame({"image": [text]}))
