"""Schedule, loss and optimizers against their definitions and against Keras' own."""

from __future__ import annotations

import math

import numpy as np
import pytest

from toprung.spaces.definition.recipe_vocabulary import OPTIMIZERS
from toprung.trainables.optimization.recipe import Recipe

pytestmark = pytest.mark.slow


def rates(recipe: Recipe, total: int) -> np.ndarray:
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
    from toprung.trainables.optimization.schedule import learning_rate

    hyperparameters = RuntimeHyperparameters.from_recipe(recipe, total)
    return np.array([float(learning_rate(step, hyperparameters)) for step in range(total)])


def test_the_rate_climbs_to_the_peak_and_follows_half_a_cosine_down(one_thread: None) -> None:
    got = rates(Recipe(learning_rate=0.4, warmup_share=0.2), 20)
    cosine = 0.2 * (1 + np.cos(np.pi * np.arange(16) / 16))
    assert got == pytest.approx(np.concatenate([[0.1, 0.2, 0.3, 0.4], cosine]), rel=1e-5)


def test_without_warmup_the_first_step_is_at_the_peak(one_thread: None) -> None:
    assert rates(Recipe(learning_rate=0.4, warmup_share=0.0), 10)[0] == pytest.approx(0.4)


def test_a_final_share_of_one_keeps_the_rate_constant(one_thread: None) -> None:
    assert rates(Recipe(learning_rate=0.4, warmup_share=0.0, final_share=1.0), 10) == pytest.approx(0.4)


def test_the_step_schedule_falls_to_a_tenth_twice(one_thread: None) -> None:
    got = rates(Recipe(learning_rate=1.0, warmup_share=0.25, schedule="step"), 12)
    assert got == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01], rel=1e-4)


def test_one_cycle_starts_at_a_25th_and_ends_near_nothing(one_thread: None) -> None:
    got = rates(Recipe(learning_rate=1.0, warmup_share=0.4, schedule="one_cycle"), 100)
    assert got[0] == pytest.approx(1 / 25 + 24 / 25 / 40, rel=1e-5)
    assert got.argmax() in (39, 40)
    assert got.max() == pytest.approx(1.0)
    assert got[-1] < 0.01


@pytest.mark.parametrize("schedule", ["constant", "plateau"])
def test_a_level_schedule_stays_at_the_peak(one_thread: None, schedule: str) -> None:
    assert rates(Recipe(learning_rate=0.4, warmup_share=0.0, schedule=schedule), 10) == pytest.approx(0.4)


def test_one_cycle_lowers_the_momentum_as_the_rate_rises(one_thread: None) -> None:
    """At the peak SGD with momentum 0.9 takes the step of SGD with 0.8."""
    start, gradients = np.zeros(2, np.float32), np.ones((1, 2), np.float32)
    flat = {"optimizer": "sgd", "learning_rate": 0.1, "warmup_share": 0.0}
    cycle = steps(Recipe(**flat, schedule="one_cycle", momentum=0.9), gradients, start)
    assert cycle == pytest.approx(steps(Recipe(**flat, momentum=0.8), gradients, start))


def test_the_average_of_the_weights_follows_them(one_thread: None) -> None:
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
    from toprung.trainables.optimization.optimizers import OptimizerState, update_average

    zeros = np.zeros(1, np.float32)
    for ema in (0.0, 0.5):
        hyperparameters = RuntimeHyperparameters.from_recipe(Recipe(ema=ema), 100)
        average, expected = zeros, 0.0
        for step in range(12):
            weight = np.full(1, step + 1.0, np.float32)
            average = update_average(
                step, OptimizerState(weight, zeros, zeros, average), hyperparameters
            ).average
            decay = min(ema, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * (step + 1.0)
        assert float(average[0]) == pytest.approx(expected if ema else 0.0, rel=1e-5)
    nothing = OptimizerState(zeros, zeros, zeros)
    assert update_average(3, nothing, RuntimeHyperparameters.from_recipe(Recipe(ema=0.5), 100)) is nothing


def test_class_weights_undo_the_imbalance_by_their_power() -> None:
    from toprung.trainables.optimization.losses import class_weights

    counts = np.array([90, 10])
    assert class_weights(counts, 0.0).tolist() == [1.0, 1.0]
    full, half = class_weights(counts, 1.0), class_weights(counts, 0.5)
    assert (counts * full).tolist() == pytest.approx([50, 50])
    assert half[1] / half[0] == pytest.approx(3.0)
    assert (counts * half).sum() == pytest.approx(100)


def test_a_class_without_images_leaves_the_weights_of_the_others_as_they_are() -> None:
    from toprung.trainables.optimization.losses import class_weights

    assert class_weights([50, 0], 1.0).tolist() == [1.0, 1.0]
    for power in (0.5, 1.0):
        others = class_weights([90, 10], power).tolist()
        assert class_weights([90, 0, 10], power).tolist() == [others[0], 1.0, others[1]]


def steps(recipe: Recipe, gradients: np.ndarray, start: np.ndarray, decays: float = 1.0) -> np.ndarray:
    from toprung.trainables.optimization.hyperparameters import RuntimeHyperparameters
    from toprung.trainables.optimization.optimizers import OptimizerState, update

    hyperparameters = RuntimeHyperparameters.from_recipe(recipe, 100)
    state = OptimizerState(start, np.zeros_like(start), np.zeros_like(start))
    for step, gradient in enumerate(gradients):
        state = update(step, gradient, state, np.full_like(start, decays), hyperparameters)
    return np.asarray(state.weights)


def constant(optimizer: str, **settings: float) -> Recipe:
    return Recipe(optimizer=optimizer, learning_rate=0.01, warmup_share=0.0, final_share=1.0, **settings)


@pytest.mark.parametrize(
    "optimizer,decay", [(optimizer, 0.0) for optimizer in OPTIMIZERS] + [("adamw", 0.1), ("lion", 0.1)]
)
def test_an_optimizer_takes_the_steps_of_keras_own(one_thread: None, optimizer: str, decay: float) -> None:
    import keras

    stock = {
        "adamw": lambda: keras.optimizers.AdamW(0.01, beta_1=0.8, weight_decay=decay, epsilon=1e-8),
        "adam": lambda: keras.optimizers.Adam(0.01, beta_1=0.8, epsilon=1e-8),
        "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.8, nesterov=True),
        "rmsprop": lambda: keras.optimizers.RMSprop(0.01, rho=0.9, momentum=0.8, epsilon=0.0),
        "lion": lambda: keras.optimizers.Lion(0.01, beta_1=0.8, beta_2=0.99, weight_decay=decay),
    }[optimizer]()
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=7).astype(np.float32), rng.normal(size=(6, 7)).astype(np.float32)
    variable = keras.Variable(start)
    for gradient in gradients:
        stock.apply([gradient], [variable])
    got = steps(constant(optimizer, momentum=0.8, weight_decay=decay), gradients, start)
    assert got == pytest.approx(np.asarray(variable), abs=2e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_shrinks_kernels_and_leaves_the_rest(one_thread: None, optimizer: str) -> None:
    start, nothing = np.ones(3, np.float32), np.zeros((5, 3), np.float32)
    recipe = constant(optimizer, weight_decay=0.1)
    assert (steps(recipe, nothing, start, decays=1.0) < 1.0).all()
    assert (steps(recipe, nothing, start, decays=0.0) == 1.0).all()


def test_clipping_bounds_the_global_norm_and_leaves_small_gradients_alone(one_thread: None) -> None:
    start, recipe = np.zeros(2, np.float32), constant("sgd", momentum=0.0, clip_norm=5.0)
    assert steps(recipe, np.array([[30.0, 40.0]], np.float32), start) == pytest.approx([-0.03, -0.04])
    assert steps(recipe, np.array([[0.3, 0.4]], np.float32), start) == pytest.approx([-0.003, -0.004])
    assert steps(recipe, np.zeros((1, 2), np.float32), start).tolist() == [0.0, 0.0]
    off = constant("sgd", momentum=0.0, clip_norm=0.0)
    assert steps(off, np.array([[30.0, 40.0]], np.float32), start) == pytest.approx([-0.3, -0.4])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_is_keras_cross_entropy(one_thread: None, smoothing: float) -> None:
    import keras

    from toprung.trainables.optimization.losses import cross_entropy

    logits = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) * 3
    targets = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0, 1]]
    targets[3:] = 0.7 * targets[3:] + 0.3 * targets[:3]  # soft labels, as MixUp makes them
    expected = keras.losses.categorical_crossentropy(
        targets, logits, from_logits=True, label_smoothing=smoothing
    )
    assert np.asarray(cross_entropy(logits, targets, smoothing)) == pytest.approx(
        np.asarray(expected), rel=1e-5
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_labels_is_keras_binary_cross_entropy(one_thread: None, smoothing: float) -> None:
    import keras

    from toprung.trainables.optimization.losses import binary_cross_entropy

    logits = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32) * 3
    targets = np.random.default_rng(1).uniform(size=(6, 4)).astype(np.float32).round(1)
    expected = keras.losses.binary_crossentropy(targets, logits, from_logits=True, label_smoothing=smoothing)
    found = binary_cross_entropy(logits, targets, smoothing, np.ones(4, np.float32))
    assert np.asarray(found) == pytest.approx(np.asarray(expected), rel=1e-5)
    heavy = binary_cross_entropy(logits[:, :1], np.ones((6, 1), np.float32), 0.0, np.array([3.0], np.float32))
    light = binary_cross_entropy(logits[:, :1], np.ones((6, 1), np.float32), 0.0, np.ones(1, np.float32))
    assert np.asarray(heavy) == pytest.approx(3.0 * np.asarray(light))


def test_extreme_logits_give_a_finite_loss(one_thread: None) -> None:
    from toprung.trainables.optimization.losses import cross_entropy

    assert math.isfinite(
        float(cross_entropy(np.array([[1e4, -1e4]], np.float32), np.eye(2, dtype=np.float32)[1:], 0.1)[0])
    )


@pytest.mark.parametrize("weight", [1.0, 99.0])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_smoothing_leads_to_the_same_probability_whatever_a_label_weighs(
    one_thread: None, weight: float, label: float
) -> None:
    from toprung.trainables.optimization.losses import binary_cross_entropy

    logits = np.linspace(-8.0, 8.0, 1601, dtype=np.float32)[:, None]
    targets, weights = np.full_like(logits, label), np.array([weight], np.float32)
    losses = np.asarray(binary_cross_entropy(logits, targets, 0.1, weights))
    cheapest = 1.0 / (1.0 + np.exp(-logits[losses.argmin(), 0]))
    assert cheapest == pytest.approx(0.95 if label else 0.05, abs=0.002)


def test_every_optimizer_of_the_vocabulary_is_registered_and_no_other(one_thread: None) -> None:
    from toprung.trainables.optimization.optimizers import UPDATE_RULES

    assert set(UPDATE_RULES) == set(OPTIMIZERS)
