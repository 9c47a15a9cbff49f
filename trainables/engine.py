"""Which backend trains, how many threads and how much device memory it may take.

The two limits only work before the backend's first operation. Heavy libraries are imported inside the
functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from trainables.step import Engine


def limit_threads(cpus: int) -> None:
    """Let this process compute on `cpus` threads. Raises RuntimeError when TensorFlow has already started."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    threads = max(1, int(cpus))
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def limit_gpu_memory(megabytes: int) -> None:
    """Cap TensorFlow's memory on every visible GPU; nothing happens without one.

    JAX reads its share from XLA_PYTHON_CLIENT_MEM_FRACTION when it is imported, so it is set by whoever
    starts the process. Raises RuntimeError when TensorFlow has already started.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(megabytes))
        tf.config.set_logical_device_configuration(gpu, [limit])


def has_accelerator() -> bool:
    """Whether this process computes on anything but the CPU."""
    import keras

    return any("cpu" not in device.lower() for device in keras.distribution.list_devices())


def engine_for(model: keras.Model, xla: bool | None = None) -> Engine:
    """The engine of Keras' current backend.

    `xla` None decides: off on a CPU, where it makes small convolutions two to three times slower, on
    elsewhere when every layer supports it. Raises ValueError for a backend other than tensorflow or jax.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        from trainables.step_jax import JaxEngine

        return JaxEngine()
    if backend != "tensorflow":
        raise ValueError(f"The Keras backend is {backend!r}, but must be tensorflow or jax")
    from trainables.step_tf import TensorFlowEngine

    accelerated = has_accelerator()
    if xla is None:
        xla = accelerated and all(layer.supports_jit for layer in model._flatten_layers())
    return TensorFlowEngine(xla, accelerated)
