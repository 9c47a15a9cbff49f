"""A user's models are built, trained on a batch, saved and read back before the search; each fault is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from toprung.search.jobs.schema import Job
from toprung.search.preparation.prepare import prepare
from toprung.search.preparation.probe_models import probe_models
from toprung.search.runs.run_folder import RunFolder
from toprung.spaces.errors import InputError

ZOO = '''
import os


def lossy():
    import keras

    @keras.saving.register_keras_serializable("zoo")
    class Scale(keras.layers.Layer):
        """Forgets its factor when it is saved."""
        def __init__(self, factor=1.0, **settings):
            super().__init__(**settings)
            self.factor = factor
        def call(self, inputs):
            return inputs * self.factor
        def get_config(self):
            return super(Scale, self).get_config() | {"factor": 1.0}
    return Scale(30.0)


class Zoo:
    def space(self, trial):
        kinds = ["sound", "raises", "exits", "lossy", "dict", "frozen", "policy", "nan", "dies", "random"]
        return {"kind": trial.suggest_categorical("kind", kinds), "optimizer": "adam", "learning_rate": 0.01,
                "batch_size": 64}

    def build(self, config, task):
        import keras
        kind, images = config["kind"], keras.Input(task.image_shape)
        if kind == "raises":
            raise ValueError("boom: width too large")
        if kind == "exits":
            raise SystemExit(3)
        if kind == "dies":
            os._exit(9)
        if kind == "policy":
            keras.config.set_dtype_policy("mixed_float16")
        x = keras.layers.RandomFlip()(images) if kind == "random" else images
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(x))
        x = lossy()(x) if kind == "lossy" else x
        x = keras.layers.Rescaling(float("nan"))(x) if kind == "nan" else x
        logits = keras.layers.Dense(task.outputs)(x)
        model = keras.Model(images, {"logits": logits} if kind == "dict" else logits)
        model.trainable = kind != "frozen"
        return model
'''
TOLD = {
    "raises": "it fails: ValueError: boom: width too large",
    "exits": "it fails: SystemExit: 3",
    "lossy": "model answers otherwise than the trained one",
    "dict": "build returned a model whose output is a dict",
    "frozen": "build returned a model without weights to train",
    "policy": "build sets Keras' global policy to mixed_float16",
    "nan": "not finite after one batch",
    "dies": "the process that builds it ended (exit code 9",
}

LAYERS = '''
import keras


class Gain(keras.layers.Layer):
    """In the user's module, not registered with Keras."""
    def __init__(self, gain=1.0, keeps=True, **settings):
        super().__init__(**settings)
        self.gain, self.keeps = gain, keeps
    def call(self, inputs):
        return inputs * self.gain
    def get_config(self):
        return super().get_config() | ({"gain": self.gain} if self.keeps else {})


def local():
    class Local(keras.layers.Layer):
        def call(self, inputs):
            return inputs * 30.0
    return Local()


class Zoo:
    def space(self, trial):
        return {"kind": trial.suggest_categorical("kind", ["sound", "lossy", "local"]), "optimizer": "adam",
                "learning_rate": 0.01, "batch_size": 64}

    def build(self, config, task):
        images = keras.Input(task.image_shape)
        x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(images))
        x = local()(x) if config["kind"] == "local" else Gain(30.0, keeps=config["kind"] == "sound")(x)
        return keras.Model(images, keras.layers.Dense(task.outputs)(x))
'''


def job_of(folder: Path, kinds: list[str], code: str = ZOO) -> Job:
    (folder / "zoo.py").write_text(code)
    configs = [{"kind": kind} for kind in kinds]
    search = {"initial_configs": configs, "max_epochs": 3}
    space = {"name": f"{folder}/zoo.py:Zoo"}
    return Job(name="a", data="digits", space=space, search=search, storage={"path": str(folder)})


@pytest.mark.slow
def test_each_model_that_is_not_sound_is_told_in_one_line(tmp_path: Path) -> None:
    job = job_of(tmp_path, ["sound", *TOLD, "random"])
    with pytest.raises(InputError) as caught:
        probe_models(prepare(job), RunFolder(job.run_root))
    lines = str(caught.value).splitlines()
    assert len(lines) == len(TOLD)
    for line, (kind, told) in zip(lines, TOLD.items(), strict=True):
        assert f"kind='{kind}'" in line and told in line


@pytest.mark.slow
def test_own_layers_of_the_module_are_found_as_in_a_retrained_model_and_others_are_told(
    tmp_path: Path,
) -> None:
    job = job_of(tmp_path, ["sound", "lossy", "local"], LAYERS)
    with pytest.raises(InputError) as caught:
        probe_models(prepare(job), RunFolder(job.run_root))
    lossy, local = str(caught.value).splitlines()
    assert "kind='lossy'" in lossy and "model answers otherwise than the trained one" in lossy
    assert "kind='local'" in local and "its saved file cannot be read back" in local


def test_the_families_of_this_package_are_not_tried(tmp_path: Path) -> None:
    job = Job(name="a", data="digits", storage={"path": str(tmp_path)})
    assert probe_models(prepare(job), RunFolder(job.run_root)) == 0
