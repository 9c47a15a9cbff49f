"""Networks of `keras.applications`: those that a job may name, and the preprocessing that each was trained with."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.slow

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def test_the_applications_that_may_be_named_are_those_keras_has(one_thread: None) -> None:
    import keras

    from toprung.spaces.families.transfer import BACKBONES

    has = {name for name, value in vars(keras.applications).items() if name[0].isupper() and callable(value)}
    assert set(BACKBONES) == has


@pytest.mark.parametrize(
    "name,module",
    [
        ("ResNet50", "resnet50"),
        ("ResNet101V2", "resnet_v2"),
        ("VGG16", "vgg16"),
        ("MobileNet", "mobilenet"),
        ("MobileNetV2", "mobilenet_v2"),
        ("MobileNetV3Small", "mobilenet_v3"),
        ("DenseNet121", "densenet"),
        ("EfficientNetB0", "efficientnet"),
        ("EfficientNetV2B0", "efficientnet_v2"),
        ("ConvNeXtTiny", "convnext"),
        ("InceptionV3", "inception_v3"),
        ("NASNetMobile", "nasnet"),
        ("Xception", "xception"),
    ],
)
def test_each_network_sees_what_keras_preprocessing_gives_it(
    one_thread: None, name: str, module: str
) -> None:
    import keras

    from toprung.trainables.models.pretrained import preprocess

    inputs = keras.Input((64, 64, 3))
    ours = keras.Model(inputs, keras.layers.Identity()(preprocess(name, inputs)))
    theirs = getattr(keras.applications, module).preprocess_input(PIXELS.astype(np.float32))
    assert np.asarray(ours(PIXELS.astype(np.float32))) == pytest.approx(np.asarray(theirs), abs=1e-4)
