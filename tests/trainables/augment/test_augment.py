"""Augmentation: identity at strength 0, range and dtype kept, labels mixed as the images are, the same for a seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from toprung.spaces.definition.recipe_vocabulary import COLOR_ONLY, MIXES, STANDARD, TECHNIQUES

pytestmark = pytest.mark.slow

SINGLE = [name for name in TECHNIQUES if name not in MIXES]
CASES = [*((name,) for name in TECHNIQUES), STANDARD, TECHNIQUES]


def test_every_technique_of_the_vocabulary_has_one_stage_and_no_other_has(one_thread: None) -> None:
    from toprung.trainables.augment.stages import STAGES, MixingStage

    carried_out = [name for stage in STAGES for name in stage.techniques]
    assert sorted(carried_out) == sorted(TECHNIQUES)
    mixing = [name for stage in STAGES if isinstance(stage, MixingStage) for name in stage.techniques]
    assert mixing == list(MIXES) == list(TECHNIQUES[-len(MIXES) :]), "the layer reads their switches last"


@pytest.fixture
def images(one_thread: None) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (64, 12, 10, 3), dtype=np.uint8)


def augmented(
    images: np.ndarray,
    strength: float,
    flip: bool = False,
    training: bool = True,
    names: Iterable[str] | None = None,
    picks: int = 0,
    targets: Any = None,
) -> Any:
    """What the layer makes of the images; with `names`, those techniques alone."""
    import keras

    from toprung.trainables.augment.layer import Augment, switches_of

    layer = Augment(full=names is not None)
    layer.strength.assign(strength)
    layer.flip.assign(float(flip))
    switches = switches_of(STANDARD if names is None else tuple(names))
    given = keras.ops.convert_to_tensor(images)
    found = layer(given, targets, switches=switches, picks=float(picks), training=training)
    return keras.tree.map_structure(lambda part: np.asarray(keras.ops.convert_to_numpy(part)), found)


def ramps(count: int = 64) -> np.ndarray:
    """Smooth images, in which a small move makes a small change."""
    across, down = np.linspace(40, 200, 10), np.linspace(0, 40, 12)
    one = (down[:, None] + across)[..., None] * np.array([1.0, 0.6, 0.3])
    return np.repeat(one[None], count, axis=0).astype(np.float32)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("names", [None, TECHNIQUES])
def test_strength_zero_is_exactly_the_identity(images: np.ndarray, dtype: str, names: Any) -> None:
    targets = np.eye(8, dtype=np.float32)[np.arange(64) % 8]
    varied, mixed = augmented(images.astype(dtype), 0.0, flip=True, names=names, targets=targets)
    assert np.array_equal(varied, images.astype(dtype))
    assert np.array_equal(mixed, targets)


@pytest.mark.parametrize("names", [None, TECHNIQUES])
def test_outside_training_nothing_is_touched(images: np.ndarray, names: Any) -> None:
    assert np.array_equal(augmented(images, 1.0, flip=True, training=False, names=names), images)


@pytest.mark.parametrize("names", [(), ("mixup",)])
def test_what_is_switched_off_changes_nothing(images: np.ndarray, names: tuple[str, ...]) -> None:
    """Without targets there is no mixing either."""
    assert np.array_equal(augmented(images, 1.0, names=names), images)


@pytest.mark.parametrize(
    "names", CASES, ids=lambda names: "+".join(names) if len(names) < 3 else str(len(names))
)
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_range_dtype_and_shape_are_kept(images: np.ndarray, names: tuple[str, ...], strength: float) -> None:
    for dtype in ("uint8", "float32"):
        targets = np.eye(8, dtype=np.float32)[np.arange(64) % 8]
        varied, mixed = augmented(images.astype(dtype), strength, names=names, targets=targets)
        assert (varied.dtype, varied.shape) == (np.dtype(dtype), images.shape)
        assert varied.min() >= 0
        assert varied.max() <= 255
        assert not np.array_equal(varied, images)
        assert mixed.min() >= 0
        assert mixed.sum(axis=1) == pytest.approx(np.ones(64), abs=1e-6)


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_stronger_setting_changes_more(one_thread: None, name: str) -> None:
    smooth = np.where(np.arange(64)[:, None, None, None] % 2, ramps(), 255 - ramps())
    targets = np.eye(2, dtype=np.float32)[np.arange(64) % 2]
    if name == "blur":
        smooth = np.round(smooth / 200) * 200
    changes = [
        np.abs(augmented(smooth, strength, names=(name,), targets=targets)[0] - smooth).mean()
        for strength in (0.0, 0.1, 0.4, 1.0)
    ]
    assert changes == sorted(changes)
    assert changes[0] == 0 < changes[1]


@pytest.mark.parametrize("names", [None, TECHNIQUES])
def test_the_same_seed_varies_the_same_way_and_the_next_batch_another(images: np.ndarray, names: Any) -> None:
    from toprung.trainables.augment.layer import Augment

    assert np.array_equal(augmented(images, 0.7, names=names), augmented(images, 0.7, names=names))
    layer = Augment(full=names is not None)
    layer.strength.assign(0.7)
    assert not np.array_equal(layer(images, training=True), layer(images, training=True))


def test_flip_alone_mirrors_about_half_the_images_exactly(images: np.ndarray) -> None:
    varied = augmented(images, 0.5, flip=True, names=())
    same = (varied == images).all(axis=(1, 2, 3))
    mirrored = (varied == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    # Of 64 fair coins fewer than 12 or more than 52 heads happen with probability below 1e-6; the seed is fixed.
    assert 12 <= mirrored.sum() <= 52


def test_color_techniques_leave_grey_images_alone(images: np.ndarray) -> None:
    grey = images[..., :1]
    assert np.array_equal(augmented(grey, 1.0, names=COLOR_ONLY), grey)
    as_rgb = np.repeat(grey, 3, axis=-1).astype(np.float32)
    assert augmented(as_rgb, 1.0, names=COLOR_ONLY) == pytest.approx(as_rgb, abs=1e-3)


def test_hue_keeps_the_luminance(one_thread: None) -> None:
    soft = ramps() * 0.5 + 60
    weights = np.array([0.213, 0.715, 0.072])
    turned = augmented(soft, 1.0, names=("hue",))
    assert np.abs(turned - soft).max() > 10
    assert turned @ weights == pytest.approx(soft @ weights, abs=0.2)


def test_blur_keeps_the_mean_and_flattens(images: np.ndarray) -> None:
    from toprung.trainables.augment.color import blur_matrix

    for length in (1, 8, 33, 224):
        matrix = blur_matrix(length)
        assert matrix.sum(axis=0) == pytest.approx(np.ones(length), abs=1e-5)
        assert matrix.sum(axis=1) == pytest.approx(np.ones(length), abs=1e-5)
    soft = augmented(images.astype(np.float32), 1.0, names=("blur",))
    assert soft.mean() == pytest.approx(images.mean(), rel=1e-4)
    assert soft.std() < images.std()


def test_noise_differs_from_image_to_image_and_has_no_bias(one_thread: None) -> None:
    flat = np.full((64, 16, 16, 3), 128, np.float32)
    noise = augmented(flat, 1.0, names=("noise",)) - flat
    # 49,152 values of sd < 25.5, as if of 4 x 768 independent ones: the mean's sd is below 25.5 / 55 = 0.46.
    assert abs(noise.mean()) < 2.0
    assert 0 < noise.std() < 25.5 * 1.2
    assert len(np.unique(noise.round(3).reshape(64, -1), axis=0)) == 64


def test_mixup_mixes_pixels_and_labels_in_one_proportion(one_thread: None) -> None:
    values = np.linspace(0, 252, 64, dtype=np.float32)
    flat = np.broadcast_to(values[:, None, None, None], (64, 6, 6, 3)).copy()
    targets = np.eye(64, dtype=np.float32)
    varied, mixed = augmented(flat, 1.0, names=("mixup",), targets=targets)
    # Every label brings its own grey: the expected grey under the mixed label is the pixel.
    assert varied[:, 0, 0, 0] == pytest.approx(mixed @ values, abs=1e-2)
    own = mixed[np.arange(64), np.arange(64)]
    assert (own >= 0.5).all()
    assert 0.6 < own.mean() < 0.9  # uniform on [0.5, 1]: sd of the mean of 64 is 0.018


def test_cutmix_pastes_a_box_and_labels_it_by_its_area(one_thread: None) -> None:
    values = np.linspace(0, 252, 64, dtype=np.float32)
    flat = np.broadcast_to(values[:, None, None, None], (64, 12, 10, 3)).copy()
    varied, mixed = augmented(flat, 1.0, names=("cutmix",), targets=np.eye(64, dtype=np.float32))
    pasted = np.abs(varied - flat)[..., 0] > 1e-3
    area = pasted.mean(axis=(1, 2))
    assert mixed[np.arange(64), np.arange(64)] == pytest.approx(1 - area, abs=1e-6)
    assert mixed[np.arange(64), np.arange(64) - 1] == pytest.approx(area, abs=1e-6)
    assert varied[pasted] == pytest.approx(np.roll(flat, 1, axis=0)[pasted], abs=1e-3)
    for box in pasted:  # a filled rectangle
        assert np.array_equal(box, box.any(axis=1)[:, None] & box.any(axis=0))
    assert 0.05 < area.mean() < 0.4


def test_a_square_covers_opposite_borders_alike(one_thread: None) -> None:
    from toprung.trainables.augment.geometry import rectangle

    # Every place of the centre on a grid of 800 a side: whatever one border meets, so does the other.
    grid = (np.arange(800, dtype=np.float32) + 0.5) / 800
    covered = np.asarray(rectangle(8, 8, np.stack([grid, grid], axis=1), 1.6, 1.6)).any(axis=2)[..., 0]
    shares = covered.mean(axis=0)
    assert shares == pytest.approx(shares[::-1], abs=1 / 800)
    assert shares[[0, 4]] == pytest.approx([2.1 / 8, 3.2 / 8], abs=1 / 400)


def test_with_both_mixes_on_each_image_gets_one_of_them(one_thread: None) -> None:
    values = np.linspace(0, 252, 64, dtype=np.float32)
    flat = np.broadcast_to(values[:, None, None, None], (64, 12, 10, 3)).copy()
    varied, _ = augmented(flat, 1.0, names=MIXES, targets=np.eye(64, dtype=np.float32))
    levels = np.array([len(np.unique(one.round(2))) for one in varied])
    assert set(levels.tolist()) <= {1, 2}  # one grey all over (MixUp), or two (CutMix)
    assert (levels == 1).sum() >= 12


@pytest.mark.parametrize("picks", [1, 3])
def test_picks_leave_each_image_that_many_techniques(one_thread: None, picks: int) -> None:
    from toprung.trainables.augment.layer import pick_techniques

    on = np.array([name in STANDARD for name in SINGLE], np.float32)
    lots = np.random.default_rng(0).uniform(-1, 1, (500, len(SINGLE))).astype(np.float32)
    kept = np.asarray(pick_techniques(on, float(picks), lots))
    assert (kept.sum(axis=1) == picks).all()
    assert not kept[:, on == 0].any()
    # Each of the 6 is kept in a share picks / 6 of 500 images, give or take 5 sd of at most 0.0224.
    assert np.abs(kept[:, on == 1].mean(axis=0) - picks / 6).max() < 0.112
    assert np.array_equal(np.asarray(pick_techniques(on, 0.0, lots)), np.broadcast_to(on, lots.shape))
    assert (np.asarray(pick_techniques(on, 9.0, lots)) == on).all()
