"""A retrained model as it is kept: the file answers as was tested, says what it is, and refuses what it cannot take."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from toprung.results.analysis.winner import Winner
from toprung.results.tables.parts import read_table
from toprung.results.tables.rows import epoch_row, proposal_row, trial_row
from toprung.results.tables.schema import EPOCHS, PROPOSALS, TRIALS, kinds_of, run_schemas
from toprung.results.tables.trial_details import TrialDetails
from toprung.results.tables.writer import RunWriter
from toprung.search.cli import main
from toprung.search.driver.search_failure import SearchFailedError
from toprung.search.export.targets import TARGETS
from toprung.search.jobs.schema import Job
from toprung.search.runs.run_folder import RunFolder
from toprung.search.winner.champion import decide
from toprung.search.winner.kept_models import ModelFolder, kept_models
from toprung.search.winner.registration import register
from toprung.search.winner.train_and_test import EpochTrained, train_and_test
from toprung.search.winner.winner_training import WinnerTraining
from toprung.spaces.user_code.source_files import pack_source
from toprung.trainables.data.dataset import DataSpec, load
from toprung.trainables.saved_model.description import description_of
from toprung.trainables.trial.report import EpochReport, Outcome
from toprung.trainables.worker.plan import Rules, TrialPlan
from toprung.trainables.worker.retraining import RetrainPlan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
README = (Path(__file__).parents[3] / "README.md").read_text()
LEFT_OUT = ("ray", "optuna", "cmaes", "obstore", "boto3")
DIGITS = DataSpec(source="digits", image_size=8)
CONFIG: dict[str, Any] = {
    "blocks": 1, "convs_per_block": 1, "filters": 8, "kernel_size": 3, "dense_units": 0, "head": "flatten",
    "batch_norm": False, "pooling": "max", "filter_growth": 1.0, "batch_size": 64, "optimizer": "adamw",
    "learning_rate": 0.01, "label_smoothing": 0.1,
}  # fmt: skip


def winner_training(run: Path, family: str = "cnn", config: dict[str, Any] = CONFIG) -> WinnerTraining:
    rules = Rules(max_epochs=3, data_fingerprint=load(DIGITS).fingerprint)
    states = str(run / "retrain" / "checkpoints")
    trial = TrialPlan(DIGITS, pack_source("digits", "data"), pack_source(family), states, rules, cpus=1)
    winner = Winner("t00001", config, 7, "val_accuracy", 0.9, 3, 3, 3, Outcome.COMPLETED, "best", None, None)
    folder = ModelFolder(RunFolder(str(run)), "t00001-s7")
    return WinnerTraining(folder, "digits", winner, RetrainPlan(trial, config, 7, schedule_epochs=3))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one retrained model, its champion."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    data = {"source": "digits", "image_size": 8}
    job = Job.from_dict({"name": "digits", "data": data, "storage": {"path": str(folder.parent)}}, "job")
    RunFolder(str(folder)).claim(job).release()
    details = TrialDetails(seed=7, data_fingerprint=load(DIGITS).fingerprint)
    with RunWriter(str(folder), run_schemas(kinds_of([CONFIG]))) as writer:
        reports = [EpochReport("t00001", epoch, {"val_accuracy": 0.3 * epoch}) for epoch in (1, 2, 3)]
        writer.append(PROPOSALS, proposal_row("t00001", CONFIG, 7))
        for number, epoch in enumerate(reports):
            writer.append(EPOCHS, epoch_row(epoch, number, "KEEP"))
        writer.append(TRIALS, trial_row("t00001", CONFIG, Outcome.COMPLETED, reports, details))
    *epochs, report = train_and_test(winner_training(folder))
    assert [each.line.split(":")[0] for each in epochs if isinstance(each, EpochTrained)] == [
        *(f"calibration, epoch {number}/3" for number in (1, 2, 3)),
        *(f"epoch {number}/3" for number in (1, 2, 3)),
    ]
    (kept,) = kept_models(RunFolder(str(folder)))
    assert kept.report == report
    assert decide(RunFolder(str(folder)), kept).alias == "champion"
    return folder


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
    run: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "images.npy", load(DIGITS).test().images)
    model = run / "retrain" / "t00001-s7" / "model.keras"
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


def test_report_predictions_curve_card_and_pictures_are_beside_the_model(run: Path) -> None:
    folder = run / "retrain" / "t00001-s7"
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
    assert len(json.loads((run / "retrain" / "test_reads.json").read_text())) == 1


def read_epochs(folder: Path, name: str) -> pd.DataFrame:
    return read_table(str(folder), name) if name == EPOCHS else pd.read_parquet(folder / name)


def test_predict_says_of_image_files_what_the_test_recorded_and_names_what_is_none(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = load(DIGITS).test().images[:40]
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "bad.jpg").write_bytes(b"nonsense")
    recorded = pd.read_parquet(run / "retrain" / "t00001-s7" / "predictions.parquet").head(40)
    probabilities = [f"probability/{number}" for number in range(10)]
    for model in (run, run / "retrain" / "t00001-s7", run / "retrain" / "model.keras"):
        out = tmp_path / "said.parquet"
        assert main(["predict", str(model), str(tmp_path), "--format", "parquet", "--out", str(out)]) == 0
        said = pd.read_parquet(out)
        assert said["file"].tolist() == [str(tmp_path / f"{number:02d}.png") for number in range(40)]
        assert said["predicted"].tolist() == recorded["predicted"].tolist()
        np.testing.assert_allclose(said[probabilities], recorded[probabilities], atol=1e-6)
        (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("toprung:")]
        assert line.startswith(f"toprung: {tmp_path}/bad.jpg: not an image")
    assert main(["predict", str(run), str(tmp_path / "bad.jpg")]) == 2
    assert main(["predict", str(tmp_path), str(tmp_path / "00.png")]) == 2


def test_a_server_answers_image_files_as_predict_does_to_the_last_digit_and_refuses_what_is_none(
    run: Path, tmp_path: Path, toprung: Any
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    # What the target `serve` of cluster/Dockerfile leaves out is not needed.
    text = f"import sys\nsys.modules.update(dict.fromkeys({LEFT_OUT!r}))\n"
    (blocked / "sitecustomize.py").write_text(text)
    with free_port() as port:
        server = toprung("serve", run, "--port", port, env={"PYTHONPATH": str(blocked)})
    wait_for_answer(f"http://127.0.0.1:{port}/ping", server.process)
    check_answers(run, tmp_path, port)
    server.signal(signal.SIGINT)
    ended = server.wait()
    assert ended.returncode == 0 and ended.stdout.startswith("serving t00001-s7 at http://127.0.0.1:")


def test_mlflow_serves_the_registered_champion_by_the_command_of_the_readme(
    run: Path, tmp_path: Path, programs: str
) -> None:
    (model,) = kept_models(RunFolder(str(run)))
    register(RunFolder(str(run)).job(), model.folder.run, model, decide(model.folder.run, model))
    command = re.search(r"MLFLOW_TRACKING_URI=\S+\s+mlflow\s+models\s+serve[^`]+", README)
    assert command is not None
    typed = (
        command.group().replace("runs/quickstart", str(run)).replace("models:/quickstart@", "models:/digits@")
    )
    assert "@champion --env-manager local" in typed
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    with free_port() as port:
        line = f"exec env {' '.join(typed.split())} --port {port}"
        server = subprocess.Popen(
            ["bash", "-c", line], cwd=tmp_path, env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        wait_for_answer(f"http://127.0.0.1:{port}/ping", server)
        check_answers(run, tmp_path, port)
        for kind, body in {
            "no JSON": "{",
            "another column": '{"dataframe_records": [{"picture": "aGFsbG8="}]}',
            "no image": '{"dataframe_records": []}',
            "no key": '{"images": []}',
        }.items():
            code, answer = post(port, body)
            assert 400 <= code < 500 and len(answer) > 20, kind
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture
def programs(tmp_path: Path) -> str:
    """The folder of this environment's programs, or one that has those of MLflow where it has none."""
    installed = Path(sys.executable).parent
    if all((installed / name).exists() for name in ("mlflow", "uvicorn")):
        return str(installed)
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, start in (("mlflow", "mlflow.cli import cli"), ("uvicorn", "uvicorn.main import main as cli")):
        (folder / name).write_text(f"#!{sys.executable}\nfrom {start}\ncli()\n")
        (folder / name).chmod(0o755)
    return str(folder)


@contextmanager
def free_port() -> Iterator[int]:
    """A port that is free until the end of the block."""
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(("127.0.0.1", 0))
        yield found.getsockname()[1]


def check_answers(run: Path, tmp_path: Path, port: int) -> None:
    """Compare a server's answers with those of `toprung predict`, and send it what is no image."""
    files = []
    for number, image in enumerate(load(DIGITS).test().images[:12]):
        files.append(tmp_path / f"{number:02d}.png")
        Image.fromarray(np.kron(image[..., 0], np.ones((3, 2), np.uint8))).save(files[-1])
    out = str(tmp_path / "said")
    assert main(["predict", str(run), *map(str, files), "--format", "parquet", "--out", out]) == 0
    said = pd.read_parquet(out)
    for group in (files[:5], files[5:], files[:1]):
        code, answer = post_images(port, [base64.b64encode(file.read_bytes()).decode() for file in group])
        assert code == 200, answer
        for file, row in zip(group, json.loads(answer)["predictions"], strict=True):
            expected = said[said["file"] == str(file)].iloc[0]
            assert row["label"] == expected["predicted"]
            for name, value in row["probabilities"].items():
                assert np.float32(value) == expected[f"probability/{name}"]
    array = load(DIGITS).test().images[0]
    for other in (array, np.kron(array[..., 0], np.ones((4, 4), int))):
        assert post_images(port, [other.tolist()])[0] == 200
    refused = {
        "no base64": "a text!",
        "not an image": base64.b64encode(b"nonsense").decode(),
        "float64": (array / 255).tolist(),
        "0 to 255": (array.astype(int) + 200).tolist(),
        "different lengths": [[1, 2], [3]],
        "shape": [1, 2, 3],
    }
    for reason, given in refused.items():
        code, answer = post_images(port, [given])
        assert 400 <= code < 500 and reason in answer, answer


def post_images(port: int, images: list[Any]) -> tuple[int, str]:
    return post(port, json.dumps({"dataframe_records": [{"image": image} for image in images]}))


def post(port: int, content: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", content.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def wait_for_answer(address: str, server: subprocess.Popen[Any], secs: float = 120) -> None:
    deadline = time.monotonic() + secs
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline, "the server did not come up"
            time.sleep(0.2)


def test_every_export_answers_as_the_model_and_says_what_it_is(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnx
    import tensorflow as tf

    assert main(["export", str(run), "--to", ",".join(TARGETS), "--quantize", "float16,int8"]) == 0
    folder = run / "retrain" / "t00001-s7" / "export"
    rows = {
        (row["format"], row["quantization"]): row for row in json.loads((folder / "exports.json").read_text())
    }
    assert len(rows) == 10, "the original, and 1 + 3 + 3 + 2 files"
    for (name, quantization), row in rows.items():
        assert row["accepted"] and row["agreement"] >= 0.98, (name, quantization)
        assert row["size_bytes"] > 1000 and row["one_image_ms"] > 0
        if quantization == "none":
            assert row["agreement"] == 1.0 and row["largest_difference"] < 1e-4
            assert row["accuracy"] == rows["keras", "none"]["accuracy"]
    said = {each.key: each.value for each in onnx.load(folder / "model.onnx").metadata_props}
    assert json.loads(said["toprung.json"])["image_shape"] == [8, 8, 1]
    with zipfile.ZipFile(folder / "model.tflite") as appended:
        assert appended.read("labels.txt").decode().split() == [str(number) for number in range(10)]
    assert "toprung" in (folder / "model.xml").read_text()
    assert (
        json.loads((folder / "savedmodel" / "assets.extra" / "toprung.json").read_text())["task"] == "softmax"
    )

    images = load(DIGITS).test().images[:20]
    encoded = [png(np.kron(image[..., 0], np.ones((5, 5), np.uint8))) for image in images]
    loaded = tf.saved_model.load(str(folder / "savedmodel"))
    by_array = loaded.signatures["serve"](images=tf.constant(images))
    recorded = pd.read_parquet(folder.parent / "predictions.parquet").head(20)
    assert [label.decode() for label in by_array["label"].numpy()] == recorded["predicted"].tolist()
    by_bytes = loaded.signatures["serve_bytes"](images=tf.constant(encoded))
    same = by_bytes["label"].numpy() == by_array["label"].numpy()
    assert same.mean() >= 0.9, "enlarged and reduced again"
    capsys.readouterr()


def png(image: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "PNG")
    return sink.getvalue()


class BrokenTarget:
    """A format whose files answer the classes in the reverse order."""

    name, packages, quantizations = "broken", (), ()

    def write(self, original: Any, quantization: str, folder: Path) -> Path:
        self._classifier = original.classifier
        (folder / "model.broken").write_text("file")
        return folder / "model.broken"

    def load(self, path: Path, threads: int) -> Any:
        return lambda images: np.asarray(self._classifier(images))[:, ::-1]


def test_a_file_that_does_not_agree_is_kept_under_another_name_and_ends_with_exit_code_1(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(TARGETS, "onnx", BrokenTarget())
    assert main(["export", str(run), "--to", "onnx"]) == 1
    said = capsys.readouterr()
    assert (
        "toprung: less than --agreement 0.98 of the test images get the label of the model itself" in said.err
    )
    folder = run / "retrain" / "t00001-s7" / "export"
    assert (folder / "rejected-model.broken").exists() and not (folder / "model.broken").exists()
    monkeypatch.setitem(TARGETS, "onnx", BrokenTarget())
    assert main(["export", str(run), "--to", "onnx", "--agreement", "0"]) == 0
    assert (folder / "model.broken").exists() and not (folder / "rejected-model.broken").exists()


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
