"""What is used of TensorFlow beyond its public interface, in one place; a test names what a new version no longer has.

Imports tensorflow at the top: only processes whose Keras backend it is load this file.
"""

from __future__ import annotations

from tensorflow.python.eager import context


def global_seed() -> int | None:
    """The seed of the last `tf.random.set_seed` of this process, None without one; no public function returns it."""
    seed: int | None = context.global_seed()
    return seed
