"""The backend that trains: its engine, its device, and limits of threads, of device memory and of randomness.

The limits only work before the backend's first operation. Heavy libraries are imported inside the functions.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from toprung.trainables.backend.autotune import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import keras

    from toprung.trainables.backend.tensors import LossFunction, Tensor


class Engine(Protocol):
    """What differs between backends: gradients, and compiling a function of tensors."""

    xla: bool

    def value_and_grad(self, function: LossFunction, weights: Tensor) -> tuple[Any, Tensor]:
        """Differentiate a loss by the weights.

        Args:
            function: Maps weights to (loss, extra): the loss a float32 scalar, extra any tree of tensors.
            weights: Float32 (weights,).

        Returns:
            Extra, and the gradient of the loss, float32 (weights,).
        """
        ...

    def compile(self, function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
        """Compile a function of trees of tensors.

        Args:
            function: A function without side effects on its arguments. It may be called once here, with zeros for all
                arguments and free axes of length 1.
            signature: For each argument a tree of KerasTensor; None stands for a free axis.
        """
        ...

    def call_shared(self, function: Callable[..., Any], arguments: Sequence[Any], like: Any = None) -> Any:
        """Call `function(*arguments)` inside a compiled function, reusing the trace of an earlier such call.

        Args:
            function: One object for the whole process; all that differs between calls is in the arguments.
            arguments: Trees of tensors. Tensors of other sizes need a new trace unless `like` is given.
            like: A tree of tensors with the shapes of the result.
        """
        ...


def limit_threads(cpus: int) -> None:
    """Let this process compute on `cpus` threads.

    Raises:
        RuntimeError: TensorFlow has already started.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    threads = max(1, int(cpus))
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def limit_gpu_memory(megabytes: int) -> None:
    """Cap TensorFlow's memory on every visible GPU.

    JAX reads its share from XLA_PYTHON_CLIENT_MEM_FRACTION when it is imported: see `apply_memory_cap`.

    Raises:
        RuntimeError: TensorFlow has already started.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(megabytes))
        tf.config.set_logical_device_configuration(gpu, [limit])


def enable_determinism() -> None:
    """Make every operation repeat its result exactly, which the fastest ones on a GPU do not.

    Call it before the backend's first operation. An operation that cannot repeat raises when it first runs.
    """
    import keras

    if keras.backend.backend() == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def has_accelerator() -> bool:
    """Whether this process computes on another device than the CPU."""
    import keras

    return any("cpu" not in device.lower() for device in keras.distribution.list_devices())


def device() -> Device:
    """The device that this process computes on; the first of several."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        first = jax.devices()[0]
        is_cpu = first.platform == "cpu"
        return Device("cpu" if is_cpu else first.device_kind, accelerated=not is_cpu, always_xla=True)
    if not has_accelerator():
        return Device()
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return Device(str(details.get("device_name", "accelerator")), accelerated=True)


@contextmanager
def use_precision(policy: str) -> Iterator[None]:
    """Build the layers of the block with this dtype policy; a layer that names its own keeps that."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def engine_for(model: keras.Model, xla: bool) -> Engine:
    """The engine of Keras' current backend.

    Args:
        model: The model that will be trained.
        xla: Compile with XLA, unless a layer of the model does not support that. JAX always does.

    Raises:
        ValueError: The backend is neither tensorflow nor jax.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        from toprung.trainables.backend.jax_engine import JaxEngine

        return JaxEngine()
    if backend != "tensorflow":
        raise ValueError(f"The Keras backend is {backend!r}, but must be tensorflow or jax")
    from toprung.trainables.backend.keras_internals import all_layers
    from toprung.trainables.backend.tensorflow_engine import TensorFlowEngine

    supported = all(layer.supports_jit for layer in all_layers(model))
    return TensorFlowEngine(xla and supported, has_accelerator())
