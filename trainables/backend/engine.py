"""Which backend trains, how many threads and how much device memory it may take, and how exactly it repeats itself.

The limits only work before the backend's first operation. Heavy libraries are imported inside the
functions.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from toprung.trainables.backend.autotune import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import keras


class Engine(Protocol):
    """What differs between backends: gradients, and compiling a function of arrays."""

    xla: bool

    def value_and_grad(self, function: Callable[[Any], tuple[Any, Any]], weights: Any) -> tuple[Any, Any]:
        """Of `function(weights) -> (loss, extra)`: extra, and the gradient of the loss."""
        ...

    def compile(self, function: Callable[..., Any], signature: Sequence[Any]) -> Callable[..., Any]:
        """`function` compiled for arguments like `signature`: trees of KerasTensor, None for a free axis.

        It may be called once with zeros for all arguments, the free axes of length 1.
        """
        ...

    def shared(self, function: Callable[..., Any], arguments: Sequence[Any], like: Any = None) -> Any:
        """`function(*arguments)` inside a compiled function, without a new trace where another one has called it.

        With `like`, a tree with the shapes of the result, arguments of other sizes need none either. `function` is
        named once for a process; all that differs from call to call is in the arguments.
        """
        ...


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


def enable_determinism() -> None:
    """Let every operation give the same result each time, which the fastest ones on a GPU do not.

    Call it before the backend's first operation. One that cannot raises when it is first run.
    """
    import keras

    if keras.backend.backend() == "jax":
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true".strip()
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def has_accelerator() -> bool:
    """Whether this process computes on anything but the CPU."""
    import keras

    return any("cpu" not in device.lower() for device in keras.distribution.list_devices())


def device() -> Device:
    """The device that this process computes on; the first where it has several."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        first = jax.devices()[0]
        return Device(first.device_kind if first.platform != "cpu" else "cpu", first.platform != "cpu", True)
    if not has_accelerator():
        return Device()
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return Device(str(details.get("device_name", "accelerator")), accelerated=True)


@contextmanager
def use_precision(policy: str) -> Iterator[None]:
    """Layers made in the block compute with this dtype policy; one that names its own keeps that."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def engine_for(model: keras.Model, xla: bool) -> Engine:
    """The engine of Keras' current backend; with `xla` it compiles with XLA where every layer supports that.

    JAX always does. Raises ValueError for a backend other than tensorflow or jax.
    """
    import keras

    backend = keras.backend.backend()
    if backend == "jax":
        from toprung.trainables.backend.jax_engine import JaxEngine

        return JaxEngine()
    if backend != "tensorflow":
        raise ValueError(f"The Keras backend is {backend!r}, but must be tensorflow or jax")
    from toprung.trainables.backend.tensorflow_engine import TensorFlowEngine

    supported = all(layer.supports_jit for layer in model._flatten_layers())
    return TensorFlowEngine(xla and supported, has_accelerator())
