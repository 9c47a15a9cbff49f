"""What folding batch norms into convolutions saves in fine-tuning: steps of both kinds, in turns, on one core.

    python tests/benchmarks/folded_batch_norm.py --networks MobileNetV2 EfficientNetB0 ResNet50 --size 160

Networks of `keras.applications` with random weights; speed does not depend on them. A step is a batch forward and
backward through the whole network, an answer a batch forward alone. Augmentation and the update of the weights, some 5%
of a step, are left out, as both kinds share them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np


def main() -> None:
    """Print for each network the medians of both kinds and their ratio."""
    arguments = _arguments()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from toprung.trainables.backend.engine import limit_threads

    limit_threads(1)
    import keras

    for name in arguments.networks:
        shape = (arguments.size, arguments.size, 3)
        body = getattr(keras.applications, name)(weights=None, include_top=False, input_shape=shape)
        print(f"{name}: {ratios(body, arguments.batch, arguments.repeats)}", flush=True)


def ratios(body: Any, batch: int, repeats: int) -> str:
    """The medians of steps and answers with Keras' batch norms and with folded ones, measured in turns."""
    from toprung.trainables.models.folded_batch_norm import FoldedNetwork

    folded = FoldedNetwork(body)
    ways = {"Keras": lambda images: body(images, training=False), "folded": folded}
    images = np.random.default_rng(0).uniform(-1.0, 1.0, (batch, *body.input_shape[1:])).astype(np.float32)
    calls = {
        (what, way): compiled(function, body, images)
        for way, function in ways.items()
        for what, compiled in (("step", compiled_step), ("answer", compiled_answer))
    }
    secs: dict[tuple[str, str], list[float]] = {key: [] for key in calls}
    for _ in range(repeats):
        for key, call in calls.items():
            began = time.perf_counter()
            call()
            secs[key].append(time.perf_counter() - began)
    parts = [f"{len(folded.folded)} batch norms folded"]
    for what in ("step", "answer"):
        keras_secs, folded_secs = (statistics.median(secs[what, way]) for way in ways)
        parts.append(
            f"{what} {keras_secs:.3f} s, folded {folded_secs:.3f} s: {keras_secs / folded_secs:.2f} times"
        )
    return "; ".join(parts)


def compiled_step(function: Callable[[Any], Any], body: Any, images: np.ndarray) -> Callable[[], Any]:
    """The gradients of a loss by all weights, traced already."""
    import tensorflow as tf

    inputs, weights = tf.constant(images), body.trainable_variables

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(function(inputs) ** 2)
        return tape.gradient(loss, weights)

    step()
    return step


def compiled_answer(function: Callable[[Any], Any], body: Any, images: np.ndarray) -> Callable[[], Any]:
    """The outputs, traced already."""
    import tensorflow as tf

    del body
    inputs = tf.constant(images)
    answer = tf.function(lambda: function(inputs), autograph=False)
    answer()
    return answer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--networks", nargs="+", default=["MobileNetV2"], help="names in keras.applications")
    parser.add_argument("--size", type=int, default=160, help="of the images, in pixels")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=9)
    return parser.parse_args()


if __name__ == "__main__":
    main()
