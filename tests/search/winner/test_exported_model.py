"""A retrained model in other formats: each file answers as the model does, or is kept under another name."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kept_digits import DIGITS
from PIL import Image

from toprung.search.cli import main
from toprung.search.export.export_model import Bench
from toprung.search.export.targets import TARGETS
from toprung.trainables.data.dataset import load
from toprung.trainables.saved_model.loading import LoadedModel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_every_export_answers_as_the_model_and_says_what_it_is(
    kept_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnx
    import tensorflow as tf

    command = ["export", str(kept_run), "--to", ",".join(TARGETS), "--quantize", "float16,int8"]
    # A model of three epochs is unsure of one image in ten, and eight bits may turn some of these over.
    assert main([*command, "--agreement", "0.9"]) == 0
    folder = kept_run / "retrain" / "t00001-s7" / "export"
    rows = {
        (row["format"], row["quantization"]): row for row in json.loads((folder / "exports.json").read_text())
    }
    assert len(rows) == 10, "the original, and 1 + 3 + 3 + 2 files"
    for (name, quantization), row in rows.items():
        least = 0.9 if quantization == "int8" else 0.98
        assert row["accepted"] and row["agreement"] >= least, (name, quantization)
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
    kept_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "digits"
    shutil.copytree(kept_run, run)  # the exports of the shared run are those of the other tests
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


def test_without_test_images_the_files_are_compared_on_the_validation_images(kept_run: Path) -> None:
    dataset = load(replace(DIGITS, test_fraction=0.0))
    model = LoadedModel.load(kept_run / "retrain" / "t00001-s7" / "model.keras")
    bench = Bench(dataset, model, least_agreement=0.98)
    seen = []

    def run(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        return bench.original_run(images)

    made = bench.measured("keras", "none", kept_run, run)
    assert made.split == "val" and made.is_accepted and made.answers.agreement == 1.0
    assert sum(seen) >= dataset.counts["val"] > 0 == dataset.counts["test"]
