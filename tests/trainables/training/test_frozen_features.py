"""While only the head trains, the frozen network sees each image once; the training is the same as without that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from toprung.trainables.task.task import Task
from toprung.trainables.trial.execution import ExecutionPlan

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def some(count: int, seed: int) -> SimpleNamespace:
    """Random 8x8 colour images; a class is brighter the higher its number."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count).astype(np.int32)
    images = rng.integers(0, 120, (count, 8, 8, 3)) + 60 * labels[:, None, None, None]
    return SimpleNamespace(images=images.astype(np.uint8), labels=labels)


@pytest.fixture(scope="session")
def bright(one_thread: None) -> Task:
    return Task((8, 8, 3), ("a", "b", "c"), 4, some(70, 0), some(30, 1))


@pytest.fixture
def config() -> dict[str, object]:
    return {
        "backbone": "small", "dense_units": 4, "head_dropout": 0.2, "head_epochs": 2, "top_epochs": 1, "top_share": 0.5,
        "learning_rate": 1e-2, "batch_size": 16, "optimizer": "adamw", "weight_decay": 0.05, "ema": 0.9,
        "clip_norm": 1.0, "class_balance": 1.0,
    }  # fmt: skip


def small_family():
    """The transfer family on a pretrained network of two layers, which is there in no time."""
    import keras

    from toprung.trainables.models.layers import InferenceOnly, RuntimeDropout
    from toprung.trainables.models.transfer import TransferFamily

    class SmallFamily(TransferFamily):
        def build(self, config, task):
            inputs = keras.Input((8, 8, 3))
            x = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.BatchNormalization()(inputs))
            body = keras.Model(inputs, keras.layers.Conv2D(12, 3)(x))
            images = keras.Input(task.image_shape)
            x = InferenceOnly(body, name="pretrained")(keras.layers.Rescaling(1 / 255)(images))
            x = keras.layers.GlobalAveragePooling2D(name="features")(x)
            if config["dense_units"]:
                x = keras.layers.Dense(config["dense_units"], activation="relu")(x)
            x = RuntimeDropout("head_dropout")(x)
            return keras.Model(images, keras.layers.Dense(task.outputs, name="logits")(x))

    return SmallFamily()


def new_trainer(config: dict, task: Task, cache=None, family=None, plan=None):
    from toprung.trainables.training.trainer import Trainer

    trainer = Trainer(family or small_family(), config, task, cache=cache, plan=plan)
    trainer.reset(config, 1)
    return trainer


def exactly_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)


def no_cache():
    from toprung.trainables.training.feature_cache import FeatureCache

    return FeatureCache(max_bytes=0)


def curve(trainer, epochs: range = range(1, 5)) -> list[dict[str, float]]:
    rows = [trainer.train_epoch(epoch) for epoch in epochs]
    return [{key: value for key, value in row.items() if key != "images_per_sec"} for row in rows]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images went through the frozen network, a number each time that features were computed."""
    from toprung.trainables.training.split_network import SplitNetwork

    counts: list[int] = []
    features = SplitNetwork.features

    def counting(self, state, split, mirror=False):
        counts.append(len(split.labels))
        return features(self, state, split, mirror)

    monkeypatch.setattr(SplitNetwork, "features", counting)
    return counts


@pytest.mark.parametrize(("optimizer", "mirrors"), [("adamw", False), ("sgd", True)])
def test_the_curve_is_that_of_training_without_features(
    bright: Task, config: dict, optimizer: str, mirrors: bool, computed: list[int]
) -> None:
    settings = {**config, "optimizer": optimizer, "flip_average": mirrors}
    kept, plain = new_trainer(settings, bright), new_trainer(settings, bright, no_cache())
    for one, other in zip(curve(kept, range(1, 4)), curve(plain, range(1, 4)), strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)
    found, expected = kept.state(), plain.state()
    assert found["optimizer/weights"] == pytest.approx(expected["optimizer/weights"], rel=1e-4, abs=1e-5)
    assert found["step"] == expected["step"]
    assert computed == ([30, 30, 70] if mirrors else [30, 70])


def test_trials_and_other_heads_on_the_same_network_share_what_was_computed(
    bright: Task, config: dict, computed: list[int]
) -> None:
    from toprung.trainables.training.trainer_cache import TrainerCache

    trainers, family = TrainerCache(), small_family()
    for seed, settings in enumerate(
        (config, {**config, "learning_rate": 1e-3}, {**config, "dense_units": 0})
    ):
        trainer = trainers.trainer(family, settings, bright)
        trainer.reset(settings, seed)
        trainer.train_epoch(1)
    assert len(trainers) == 2
    assert computed == [30, 70]
    traces = trainer.traces
    curve(trainer, range(2, 5))
    trainer.reset(settings, 5)
    curve(trainer)
    assert trainer.traces == traces, "neither a phase nor a trial is traced anew"


def test_a_trial_continues_bit_for_bit_from_the_middle_of_its_head_epochs(bright: Task, config: dict) -> None:
    whole = curve(first := new_trainer(config, bright))
    first.reset(config, 1)
    first.train_epoch(1)
    later = new_trainer(config, bright)
    later.load_state(first.state())
    assert curve(later, range(2, 5)) == whole[1:]


def test_a_resumed_fine_tuned_network_is_scored_as_it_is_and_leaves_no_features(
    bright: Task, config: dict, computed: list[int]
) -> None:
    settings = {**config, "head_epochs": 1, "top_epochs": 3, "top_share": 0.9, "top_rate": 1.0, "ema": 0.0}
    first = new_trainer(settings, bright)
    curve(first, range(1, 4))
    computed.clear()
    later = new_trainer(settings, bright)
    later.load_state(first.state())
    assert later.evaluate(bright.val).loss == first.evaluate(bright.val).loss
    assert computed == []
    assert exactly_equal(later.state(), first.state()), "the optimizer is not emptied"


def test_a_state_without_its_epoch_is_resumed(bright: Task, config: dict) -> None:
    whole = curve(first := new_trainer(config, bright))
    first.reset(config, 1)
    curve(first, range(1, 3))
    state = first.state()
    del state["epoch"]  # as states were before it was kept
    later = new_trainer(config, bright)
    later.load_state(state)
    assert curve(later, range(3, 5)) == whole[2:]


def test_varied_images_are_not_kept_and_validation_images_are(
    bright: Task, config: dict, computed: list[int]
) -> None:
    trainer = new_trainer({**config, "augment": 0.5}, bright)
    curve(trainer, range(1, 3))
    assert computed == [30]


def test_cached_features_leave_the_head_epochs_unaugmented_whether_they_fit_or_not(
    bright: Task, config: dict, computed: list[int]
) -> None:
    settings = {**config, "augment": 0.5, "flip": True, "cache_features": True, "head_dropout": 0.0}
    kept, plain = new_trainer(settings, bright), new_trainer(settings, bright, no_cache())
    assert curve(kept, range(1, 3))[1] == pytest.approx(curve(plain, range(1, 3))[1], rel=1e-4, abs=1e-5)
    assert computed == [30, 70]
    network = kept.compiled.network
    strength = f"non_trainable/{network.non_trainable.index(network.augment.strength):04d}"
    assert float(kept.state()[strength]) == 0.0
    kept.train_epoch(3)
    assert float(kept.state()[strength]) == 0.5


def test_an_epoch_on_kept_features_makes_many_passes_and_others_make_one(bright: Task, config: dict) -> None:
    settings = {**config, "head_epochs": 1, "head_passes": 7}
    kept, plain = new_trainer(settings, bright), new_trainer(settings, bright, no_cache())
    varied = new_trainer({**settings, "augment": 0.5}, bright)
    assert [steps_of(trainer) for trainer in (kept, plain, varied)] == [35, 5, 5], (
        "70 images in batches of 16"
    )
    once = new_trainer({**settings, "head_passes": 1}, bright)
    once.train_epoch(1)
    assert kept.evaluate(bright.val).loss < once.evaluate(bright.val).loss
    assert kept.train_epoch(2)["learning_rate"] > 0.0
    assert int(kept.state()["step"]) == 5, "the next phase counts its own steps"


def test_the_head_is_fitted_in_one_way_whatever_tunes_the_network(bright: Task, config: dict) -> None:
    fitted = {**config, "head_epochs": 1, "head_rate": 1e-2, "head_l2": 0.1}
    trainers = [
        new_trainer(
            {**fitted, "optimizer": name, "learning_rate": rate, "label_smoothing": smoothing}, bright
        )
        for name, rate, smoothing in (("lion", 1e-5, 0.1), ("sgd", 1e-3, 0.0))
    ]
    first, second = (curve(trainer, range(1, 2)) for trainer in trainers)
    assert first == second
    rates = [trainer.train_epoch(2)["learning_rate"] for trainer in trainers]
    assert rates[0] < 1e-5 < rates[1] < 1e-3


def test_deeper_layers_move_less_where_the_rate_decays_by_depth(bright: Task, config: dict) -> None:
    tuned = {**config, "head_epochs": 0, "top_epochs": 0, "deep_share": 1.0, "weight_decay": 0.0, "ema": 0.0}
    trainer = new_trainer({**tuned, "deep_rate": 0.1}, bright)
    network = trainer.compiled.network
    depths, moved = network.depths(), {}
    for decay in (1.0, 1e-3):
        trainer.reset({**tuned, "deep_rate": 0.1, "depth_decay": decay}, 1)
        before = trainer.state()["optimizer/weights"]
        trainer.train_epoch(1)
        moved[decay] = np.abs(trainer.state()["optimizer/weights"] - before)
    assert len(set(depths.tolist())) == 4, "the head and three layers"
    for depth in sorted(set(depths.tolist())):
        at_depth = depths == depth
        share = np.median(moved[1e-3][at_depth]) / np.median(moved[1.0][at_depth])
        assert share == pytest.approx(1e-3**depth, rel=0.6), "Adam's steps have the size of the rate"


def test_passes_continue_bit_for_bit(bright: Task, config: dict) -> None:
    settings = {**config, "head_passes": 3, "depth_decay": 0.3}
    whole = curve(first := new_trainer(settings, bright))
    first.reset(settings, 1)
    curve(first, range(1, 3))
    later = new_trainer(settings, bright)
    later.load_state(first.state())
    assert curve(later, range(3, 5)) == whole[2:]


def test_what_is_tried_out_and_timed_is_the_network_and_not_its_head(
    bright: Task, config: dict, computed: list[int]
) -> None:
    trainer = new_trainer(config, bright)
    before = trainer.state()
    trainer.try_out()
    assert exactly_equal(trainer.state(), before)
    assert trainer.secs_per_step() > 0.0
    assert computed == [], "no step was made on features"


def steps_of(trainer) -> int:
    """The steps of the first epoch."""
    trainer.train_epoch(1)
    return int(trainer.state()["step"])


def test_micro_batches_are_those_of_the_head_and_of_the_network_below_it(bright: Task, config: dict) -> None:
    calm = {**config, "head_dropout": 0.0}
    whole, cut = (new_trainer(calm, bright, plan=ExecutionPlan(micro_batches=count)) for count in (1, 8))
    split_network = cut.compiled.head_only.split_network
    assert split_network.images_per_call == 8, "64 in as many pieces"
    assert split_network.step.micro_batches == 8
    expected = curve(whole, range(1, 3))
    for one, other in zip(curve(cut, range(1, 3)), expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


def test_each_number_of_micro_batches_has_features_of_its_own(
    bright: Task, config: dict, computed: list[int]
) -> None:
    """What another size of batch rounds differently must not depend on which trial computed it."""
    cache = no_cache()
    cache.max_bytes = 2**20
    for count in (1, 2, 1):
        new_trainer(config, bright, cache, plan=ExecutionPlan(micro_batches=count)).train_epoch(1)
    assert computed == [30, 70, 30, 70]


def test_an_exported_model_predicts_as_it_was_scored(bright: Task, config: dict) -> None:
    trainer = new_trainer({**config, "ema": 0.0}, bright)
    curve(trainer, range(1, 3))
    scored = trainer.evaluate(bright.val)
    exported = np.asarray(trainer.export()(bright.val.images))
    assert exported == pytest.approx(scored.probabilities, abs=1e-4)


def test_the_memory_is_bounded_and_the_least_recently_used_split_goes_first() -> None:
    from toprung.trainables.training.feature_cache import FeatureCache

    cache = FeatureCache(max_bytes=2 * 4 * 5 * 10)
    splits = [SimpleNamespace(images=None, labels=np.zeros(10, np.int32)) for _ in range(3)]
    computed: list[int] = []

    def get(index: int) -> None:
        def compute() -> np.ndarray:
            computed.append(index)
            return np.full((10, 5), index, np.float32)

        features, _ = cache.get("key", splits[index], compute, accelerated=False)
        assert (features.images == index).all()

    assert cache.fits(20, 5) and not cache.fits(21, 5)
    for index in (0, 1, 0, 2, 0, 1):
        get(index)
    assert computed == [0, 1, 2, 1]


SHARED = Path(__file__).parents[4] / "shared"
WEIGHTS = SHARED / "weights" / "mobilenet_v2_0.35_notop.weights.h5"
FLOWERS = SHARED / "data" / "flowers"


@pytest.mark.skipif(not (WEIGHTS.exists() and FLOWERS.exists()), reason=f"needs {FLOWERS} and {WEIGHTS}")
def test_photographs_are_told_apart_by_a_head_on_kept_features(one_thread: None, computed: list[int]) -> None:
    from toprung.trainables.data.dataset import DataSpec, load
    from toprung.trainables.models.transfer import TransferFamily

    data = load(DataSpec("folder", str(FLOWERS), image_size=96))
    config = {"backbone": "MobileNetV2", "alpha": 0.35, "weights": str(WEIGHTS), "head_epochs": 8, "top_epochs": 0,
              "learning_rate": 1e-2, "batch_size": 32, "cache_features": True, "augment": 0.3}  # fmt: skip
    trainer = new_trainer(config, data.task(8), family=TransferFamily())
    metrics = curve(trainer, range(1, 9))
    assert metrics[-1]["val_accuracy"] > 0.5, "chance is 0.2"
    assert computed == [data.counts["val"], data.counts["train"]], "each image once in eight epochs"


@pytest.mark.parametrize("head_epochs", [1, 2])
def test_the_epoch_that_is_timed_is_the_second_as_others_end_before_a_later_phase(
    bright: Task, config: dict, monkeypatch: pytest.MonkeyPatch, head_epochs: int
) -> None:
    trainer = new_trainer({**config, "head_epochs": head_epochs}, bright)
    steps_of_all, run = [], trainer.compiled.step.compiled_run
    monkeypatch.setattr(
        trainer.compiled.step, "compiled_run", lambda *inputs: steps_of_all.append(1) or run(*inputs)
    )
    before = trainer.state()
    assert 0 < trainer.epoch_secs() < 60
    assert exactly_equal(trainer.state(), before)
    assert bool(steps_of_all) == (head_epochs == 1)
