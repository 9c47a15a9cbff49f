"""A retrained model as it is kept: the file answers as was tested, says what it is, and refuses what it cannot take."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kept_digits import DIGITS, winner_training
from PIL import Image

from toprung.results.tables.parts import read_table
from toprung.results.tables.schema import EPOCHS
from toprung.search.cli import main
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.retrained.kept_models import kept_models
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.train_and_test import train_and_test
from toprung.trainables.data.dataset import load
from toprung.trainables.saved_model.description import description_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ELSEWHERE = """
import sys
sys.modules["toprung"] = None  # importing it fails
import json, keras, numpy as np, zipfile
model = keras.models.load_model(sys.argv[1])
images = np.load(sys.argv[2])
right = model.predict(images, verbose=0)
np.save(sys.argv[3], right)
def is_refused(given):
    refused = []
    for ask in (model, lambda given: model.predict(given, verbose=0)):
        try:
            ask(given)
            refused.append(False)
        except Exception:
            refused.append(True)
    return all(refused)
wrong = {
    "larger": np.zeros((4, 16, 16, 1), np.uint8), "another size": np.zeros((4, 9, 7, 1), np.uint8),
    "as many pixels": np.zeros((4, 4, 16, 1), np.uint8), "one pixel": np.zeros((64, 1, 1, 1), np.uint8),
    "colour": np.zeros((4, 8, 8, 3), np.uint8), "0 to 1": images[:4] / 255.0, "negative": -images[:4].astype(int),
    "16 bits": images[:4].astype(np.uint16) * 257, "nan": np.full((4, 8, 8, 1), np.nan),
    "one of four": np.concatenate([images[:3], images[:1] / 255.0]), "one image": images[0],
}
accepted = [name for name, given in wrong.items() if not is_refused(given)]
assert not accepted, accepted
assert np.array_equal(model.predict(images, verbose=0), right), "right images are answered as before"
print(zipfile.ZipFile(sys.argv[1]).read("toprung.json").decode())
"""


def test_the_file_alone_answers_as_was_tested_and_refuses_other_images_also_after_right_ones(
    kept_run: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", load(DIGITS).test().images)
    model = kept_run / "retrain" / "t00001-s7" / "model.keras"
    arguments = [str(model), str(tmp_path / "images.npy"), str(tmp_path / "answers.npy")]
    ended = subprocess.run(
        [sys.executable, "-I", "-c", ELSEWHERE, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    table = pd.read_parquet(model.parent / "predictions.parquet")
    probabilities = table[[f"probability/{number}" for number in range(10)]].to_numpy()
    np.testing.assert_allclose(np.load(tmp_path / "answers.npy"), probabilities, atol=1e-6)
    said = json.loads(ended.stdout)
    assert said["classes"] == [str(number) for number in range(10)]
    assert (said["image_shape"], said["fit"], said["colour_order"], said["task"]) == (
        [8, 8, 1],
        "stretch",
        "grey",
        "softmax",
    )
    report = json.loads((model.parent / "report.json").read_text())
    assert said["data_fingerprint"] == report["data_fingerprint"]
    assert said["training_fingerprint"] == report["training_fingerprint"]
    assert said["temperature"] == report["evaluation"]["calibration"]["temperature"]
    assert description_of(model).to_json() == json.dumps(said, indent=1)


def test_report_predictions_curve_card_and_pictures_are_beside_the_model(kept_run: Path) -> None:
    folder = kept_run / "retrain" / "t00001-s7"
    report = json.loads((folder / "report.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    evaluation, table = report["evaluation"], pd.read_parquet(folder / "predictions.parquet")
    assert evaluation["accuracy"]["value"] == report["test_accuracy"] == pytest.approx(table["score"].mean())
    assert evaluation["accuracy"]["low"] < report["test_accuracy"] < evaluation["accuracy"]["high"]
    assert (table["label"] == table["predicted"]).equals(table["score"] == 1.0)
    assert tuple(table["file"]) == load(DIGITS).names("test") and table["file"].is_unique
    assert sum(each["support"] for each in evaluation["classes"]) == report["test_images"] == len(table)
    assert report["read_back"]["largest_difference"] < report["read_back"]["tolerance"]
    assert evaluation["validation"]["accuracy"] > 0.5
    calibration = evaluation["calibration"]
    assert (
        calibration["temperature"] != 1.0 and calibration["fitted_on_images"] == report["trained_on"]["val"]
    )
    assert calibration["after"]["loss"] < calibration["before"]["loss"], "label smoothing made it unsure"
    curve, held_out = (read_epochs(folder, name) for name in (EPOCHS, "held_out_epochs"))
    assert curve["epoch"].tolist() == held_out["epoch"].tolist() == [1, 2, 3]
    assert curve["train_loss"].notna().all() and curve["val_accuracy"].isna().all()
    assert held_out["val_accuracy"].iloc[-1] == pytest.approx(evaluation["validation"]["accuracy"])
    card = (folder / "MODEL_CARD.md").read_text()
    assert (
        f"{report['test_accuracy']:.4f} (95% interval" in card
        and "Trial t00001 of run digits, seed 7" in card
    )
    for name in ("confusion", "reliability", "mistakes"):
        with Image.open(io.BytesIO((folder / f"{name}.png").read_bytes())) as picture:
            assert min(picture.size) > 300
    assert len(json.loads((kept_run / "retrain" / "test_reads.json").read_text())) == 1


def read_epochs(folder: Path, name: str) -> pd.DataFrame:
    return read_table(str(folder), name) if name == EPOCHS else pd.read_parquet(folder / name)


def test_predict_says_of_image_files_what_the_test_recorded_and_names_what_is_none(
    kept_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = load(DIGITS).test().images[:40]
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "bad.jpg").write_bytes(b"nonsense")
    recorded = pd.read_parquet(kept_run / "retrain" / "t00001-s7" / "predictions.parquet").head(40)
    probabilities = [f"probability/{number}" for number in range(10)]
    for model in (kept_run, kept_run / "retrain" / "t00001-s7", kept_run / "retrain" / "model.keras"):
        out = tmp_path.with_suffix(".said.parquet")  # beside the images it would be told as none
        assert main(["predict", str(model), str(tmp_path), "--format", "parquet", "--out", str(out)]) == 0
        said = pd.read_parquet(out)
        assert said["file"].tolist() == [str(tmp_path / f"{number:02d}.png") for number in range(40)]
        assert said["predicted"].tolist() == recorded["predicted"].tolist()
        np.testing.assert_allclose(said[probabilities], recorded[probabilities], atol=1e-6)
        (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("toprung:")]
        assert line.startswith(f"toprung: {tmp_path}/bad.jpg: not an image")
    assert main(["predict", str(kept_run), str(tmp_path / "bad.jpg")]) == 2
    assert main(["predict", str(tmp_path), str(tmp_path / "00.png")]) == 2


LOSSY = """
import keras


class Gain(keras.layers.Layer):
    def __init__(self, gain=1.0, power=1, **kwargs):
        super().__init__(**kwargs)
        self.gain, self.power = gain, power

    def call(self, x):
        return keras.ops.power(x * self.gain, self.power)

    def get_config(self):
        return {**super().get_config(), "gain": self.gain%s}


class Family:
    def space(self, trial):
        return {}

    def build(self, config, task):
        images = keras.Input(task.image_shape)
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
        x = Gain(2.0, power=3)(keras.layers.Dense(config["width"], activation="tanh")(x))
        return keras.Model(images, keras.layers.Dense(task.outputs)(x))
"""


def test_a_layer_that_loses_an_argument_when_saved_ends_the_retraining_before_the_test_is_read(
    tmp_path: Path,
) -> None:
    code = tmp_path / "my_models.py"
    config = {"width": 16, "optimizer": "adamw", "learning_rate": 0.005, "batch_size": 64}
    code.write_text(LOSSY % "")
    run = tmp_path / "run"
    with pytest.raises(SearchFailedError, match=r"saved model is not the one that was trained.*get_config"):
        list(train_and_test(winner_training(run, f"{code}:Family", config)))
    assert not (run / "retrain" / "test_reads.json").exists() and not kept_models(RunFolder(str(run)))
    code.write_text(LOSSY % ', "power": self.power')
    *_, report = train_and_test(winner_training(run, f"{code}:Family", config))
    assert isinstance(report, dict) and report["read_back"]["largest_difference"] < 1e-3
