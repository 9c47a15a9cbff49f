"""Transfer: the right preprocessing, phases that open the right layers, and weights that come back."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from toprung.spaces.errors import InputError
from toprung.trainables.task.task import Task

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SHARED = Path(__file__).parents[4] / "shared"
WEIGHTS = SHARED / "weights" / "mobilenet_v2_0.35_notop.weights.h5"
FLOWERS = SHARED / "data" / "flowers"


@pytest.fixture(scope="session")
def pictures(one_thread: None) -> Task:
    """40 random 32x32 colour images of two classes."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8), rng.integers(0, 2, 40)
    train, val = (
        SimpleNamespace(images=images[part], labels=labels[part].astype(np.int32))
        for part in (slice(0, 24), slice(24, 40))
    )
    return Task((32, 32, 3), ("a", "b"), 4, train, val)


@pytest.fixture(scope="session")
def weights(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of random weights for the small MobileNetV2 of `config`."""
    import keras

    keras.utils.set_random_seed(1)
    model = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None)
    path = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    model.save_weights(path)
    return str(path)


def config_with(weights: str) -> dict[str, object]:
    return {
        "backbone": "MobileNetV2",
        "alpha": 0.35,
        "weights": weights,
        "dense_units": 4,
        "head_dropout": 0.2,
        "head_epochs": 1,
        "top_epochs": 1,
        "top_share": 0.2,
        "deep_share": 0.5,
        "learning_rate": 1e-2,
        "batch_size": 8,
    }


@pytest.fixture
def config(weights: str) -> dict[str, object]:
    return config_with(weights)


@pytest.fixture(scope="module")
def used_trainer(weights: str, pictures: Task):
    """A trainer of `config` for all tests that start it anew with `reset`: building one takes seconds."""
    return new_trainer(config_with(weights), pictures)


def family():
    from toprung.trainables.models.transfer import TransferFamily

    return TransferFamily()


def new_trainer(config: dict, task: Task):
    from toprung.trainables.training.trainer import Trainer

    trainer = Trainer(family(), config, task)
    trainer.reset(config, 1)
    return trainer


def named_weights(trainer) -> dict[int, np.ndarray]:
    flat = trainer.state()["optimizer/weights"]
    network = trainer.compiled.network
    pieces = np.split(flat, np.cumsum(network.sizes)[:-1])
    return dict(zip(map(id, network.weights), pieces, strict=True))


@pytest.mark.parametrize(
    "name", ["ResNet50", "VGG16", "EfficientNetB0", "EfficientNetV2B0", "MobileNetV3Small", "ConvNeXtTiny"]
)
def test_each_network_is_built_saved_and_loaded_with_raw_images(
    pictures: Task, config: dict, tmp_path: Path, name: str
) -> None:
    import keras

    from toprung.trainables.models.export import stock_model

    model = family().build({**config, "backbone": name, "weights": "none"}, pictures)
    stock_model(model).save(tmp_path / "model.keras")
    expected = keras.ops.softmax(model(pictures.val.images.astype(np.float32)))
    predicted = keras.models.load_model(tmp_path / "model.keras")(pictures.val.images)
    assert np.asarray(predicted) == pytest.approx(np.asarray(expected), abs=1e-5)


def test_statistics_of_the_images_leave_with_the_model(pictures: Task, config: dict) -> None:
    import keras

    from toprung.trainables.backend.keras_internals import all_layers
    from toprung.trainables.models.export import stock_model

    model = family().build({**config, "backbone": "EfficientNetB0", "weights": "none"}, pictures)
    norm = next(layer for layer in all_layers(model) if isinstance(layer, keras.layers.Normalization))
    norm.set_weights([np.full(3, 0.5), np.full(3, 4.0), *norm.get_weights()[2:]])
    norm.finalize_state()
    copied = next(
        layer for layer in all_layers(stock_model(model)) if isinstance(layer, keras.layers.Normalization)
    )
    pixels = np.ones((1, 2, 2, 3), np.float32)
    assert np.asarray(copied(pixels)) == pytest.approx(0.25)


def test_a_file_of_efficientnet_is_scaled_as_keras_scales_its_download(
    config: dict, tmp_path: Path, one_thread: None
) -> None:
    import keras

    from toprung.trainables.models.pretrained import backbone

    path = str(tmp_path / "efficientnetb0_notop.weights.h5")
    keras.applications.EfficientNetB0(input_shape=(32, 32, 3), include_top=False, weights=None).save_weights(
        path
    )
    model = backbone({**config, "backbone": "EfficientNetB0", "weights": path}, (32, 32, 3))
    norm = next(layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    # Behind the weights it downloads itself Keras puts a layer that divides by the root of these.
    expected = 1 / np.sqrt([0.229, 0.224, 0.225])
    assert np.asarray(norm(np.ones((1, 1, 1, 3), np.float32))).ravel() == pytest.approx(expected, rel=1e-5)


def test_grey_and_small_images_are_made_to_fit(noise: Task, config: dict) -> None:
    task = replace(noise, image_shape=(8, 8, 1))
    model = family().build({**config, "input_size": 32}, task)
    assert model.input_shape == (None, 8, 8, 1)
    assert np.asarray(model(np.zeros((2, 8, 8, 1)))).shape == (2, 3)
    wide = family().build({**config, "min_input_size": 32}, replace(noise, image_shape=(8, 16, 3)))
    assert wide.get_layer("resized").output.shape == (None, 32, 64, 3), "enlarged in proportion"
    large = family().build({**config, "min_input_size": 32}, replace(noise, image_shape=(40, 32, 3)))
    assert "resized" not in [layer.name for layer in large.layers], "never made smaller"


def test_images_too_small_and_weights_that_do_not_fit_are_refused(
    noise: Task, config: dict, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="on images \\(8, 8, 3\\) fails"):
        family().build({**config, "weights": "none"}, noise)
    (tmp_path / "wrong.weights.h5").write_text("no weights")
    with pytest.raises(InputError, match=r"wrong\.weights\.h5"):
        family().build({**config, "input_size": 32, "weights": str(tmp_path / "wrong.weights.h5")}, noise)


def test_each_phase_trains_the_layers_that_are_open_in_it(used_trainer, config: dict) -> None:
    trainer = used_trainer
    trainer.reset(config, 1)
    depths = family().depths(trainer.compiled.network.model)
    before = named_weights(trainer)
    for epoch, share in ((1, 0.0), (2, 0.2), (3, 0.5)):
        trainer.train_epoch(epoch)
        after = named_weights(trainer)
        moved = {key for key, value in after.items() if not np.array_equal(value, before[key])}
        is_open = {key for key in after if depths.get(key, 0.0) <= share}
        assert moved <= is_open
        # On maps of one pixel some rectified units stay dead, and so do their weights.
        assert len(moved) > 0.6 * len(is_open)
        before = after
    opened = [depth for depth in depths.values() if depth <= 0.2]
    assert 0.1 < len(opened) / len(depths) < 0.3


def test_a_frozen_network_keeps_its_statistics(used_trainer, config: dict) -> None:
    trainer = used_trainer
    trainer.reset(config, 1)
    before = trainer.state()
    for epoch in (1, 2, 3):
        trainer.train_epoch(epoch)
    after = trainer.state()
    statistics = [
        key
        for key in before
        if key.startswith("non_trainable/") and before[key].ndim == 1 and len(before[key]) > 2
    ]
    assert len(statistics) > 50
    assert all(np.array_equal(before[key], after[key]) for key in statistics)


def test_each_phase_has_its_own_schedule_and_an_empty_optimizer(used_trainer, config: dict) -> None:
    chosen = {**config, "top_rate": 0.5, "deep_rate": 0.25, "final_share": 1.0, "warmup_share": 0.0}
    trainer = used_trainer
    trainer.reset(chosen, 1)
    rates = [trainer.train_epoch(epoch)["learning_rate"] for epoch in (1, 2, 3, 4)]
    assert rates == pytest.approx([1e-2, 5e-3, 2.5e-3, 2.5e-3])
    assert int(trainer.state()["step"]) == 6, "two epochs of three steps since the last phase began"


def test_phases_change_without_another_trace(used_trainer, config: dict) -> None:
    trainer = used_trainer
    for change in ({}, {"head_epochs": 2}, {"top_share": 0.4}, {"deep_rate": 0.5}, {"top_epochs": 3}):
        trainer.reset({**config, **change}, 1)
        for epoch in (1, 2, 3, 4):
            trainer.train_epoch(epoch)
    assert trainer.traces == 3, "the head alone, the head on kept features, everything"


def test_a_regression_on_the_features_begins_at_zero(pictures: Task, config: dict) -> None:
    model = family().build({**config, "dense_units": 0}, pictures)
    kernel, bias = model.get_layer("logits").get_weights()
    assert not kernel.any() and not bias.any()


def test_a_used_trainer_starts_from_the_loaded_weights_again(used_trainer, config: dict) -> None:
    trainer = used_trainer
    trainer.reset(config, 1)
    start = trainer.state()["optimizer/weights"]
    first = [trainer.train_epoch(epoch)["val_loss"] for epoch in (1, 2, 3)]
    trainer.reset(config, 1)
    assert np.array_equal(trainer.state()["optimizer/weights"], start)
    assert [trainer.train_epoch(epoch)["val_loss"] for epoch in (1, 2, 3)] == first
    trainer.reset(config, 2)
    changed = start != trainer.state()["optimizer/weights"]
    head = 1280 * 4 + 4 * 2
    assert changed.sum() == head, "another seed draws another head, on the same network"


def test_it_continues_bit_for_bit_from_any_phase(used_trainer, pictures: Task, config: dict) -> None:
    straight, saved, losses = used_trainer, {}, {}
    straight.reset(config, 1)
    for epoch in (1, 2, 3, 4):
        losses[epoch] = straight.train_epoch(epoch)["val_loss"]
        saved[epoch] = straight.state()
    other = new_trainer(config, pictures)
    for epoch in (3, 1, 2):
        other.reset(config, 1)
        other.load_state(saved[epoch])
        assert other.train_epoch(epoch + 1)["val_loss"] == losses[epoch + 1]


def test_without_weights_the_whole_network_learns_from_the_first_epoch(pictures: Task, config: dict) -> None:
    settings = {**config, "weights": "none"}
    trainer = new_trainer(settings, pictures)
    before = trainer.state()
    trainer.train_epoch(1)
    moved = before["optimizer/weights"] != trainer.state()["optimizer/weights"]
    assert moved.mean() > 0.9
    trainer.reset(settings, 2)
    assert not np.array_equal(before["optimizer/weights"], trainer.state()["optimizer/weights"])


def test_what_keras_downloaded_before_is_used(
    pictures: Task, config: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import h5py
    import keras
    from keras.src.legacy.saving import legacy_h5_format

    given = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, include_top=False, weights=config["weights"]
    )
    folder = tmp_path / "models"
    folder.mkdir()
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    with h5py.File(folder / name, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, given)
    monkeypatch.setattr("keras.src.utils.file_utils.config.keras_home", lambda: str(tmp_path))
    model = family().build({**config, "weights": "imagenet"}, pictures)
    body = family().pretrained(model)[0].body
    for mine, theirs in zip(body.get_weights(), given.get_weights(), strict=True):
        assert np.array_equal(mine, theirs)


ELSEWHERE = """
import sys
import keras, numpy as np
sys.modules["toprung"] = None  # importing it fails
np.save(sys.argv[3], keras.models.load_model(sys.argv[1]).predict(np.load(sys.argv[2]), verbose=0))
"""


def test_a_fine_tuned_model_predicts_the_same_where_toprung_is_not_installed(
    used_trainer, pictures: Task, config: dict, tmp_path: Path
) -> None:
    trainer = used_trainer
    trainer.reset(config, 1)
    for epoch in (1, 2, 3):
        trainer.train_epoch(epoch)
    model = trainer.export()
    assert model.count_params() == trainer.parameter_count
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", pictures.val.images)
    files = [str(tmp_path / name) for name in ("model.keras", "images.npy", "predicted.npy")]
    subprocess.run([sys.executable, "-I", "-c", ELSEWHERE, *files], cwd=tmp_path, check=True, timeout=120)
    predicted = np.load(tmp_path / "predicted.npy")
    assert predicted == pytest.approx(trainer.evaluate(pictures.val).probabilities, abs=1e-5)


@pytest.mark.skipif(not (WEIGHTS.exists() and FLOWERS.exists()), reason="no flowers or no weights staged")
def test_imagenet_weights_beat_the_same_network_from_scratch_on_flowers(one_thread: None) -> None:
    from toprung.trainables.data.dataset import DataSpec, load

    data = load(DataSpec(source="folder", path=str(FLOWERS), image_size=64))
    task = Task(data.image_shape, data.classes, 4, data.train(), data.val())
    config = {"backbone": "MobileNetV2", "alpha": 0.35, "head_dropout": 0.2, "head_epochs": 2, "top_epochs": 2,
              "learning_rate": 3e-3, "top_rate": 0.3, "batch_size": 32}  # fmt: skip
    best = {}
    for weights in (str(WEIGHTS), "none"):
        trainer = new_trainer({**config, "weights": weights}, task)
        best[weights] = max(trainer.train_epoch(epoch)["val_accuracy"] for epoch in range(1, 5))
    assert best[str(WEIGHTS)] >= best["none"] + 0.15, best
