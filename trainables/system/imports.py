"""Imports a library without others that it imports where they are installed and does not need."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_claimed = threading.Event()  # set in a process that toprung alone uses

BACKENDS = ("tensorflow", "jax")  # of Keras, that models are trained with here

# Keras imports these for plots, its scikit-learn wrappers and data frames given to `fit`: nothing that toprung trains
# or predicts with.
NOT_FOR_TRAINING = ("matplotlib", "sklearn", "pandas")


def imports_not_needed_for_training() -> tuple[str, ...]:
    """What `import keras` can do without for training; TensorFlow imports JAX too where that is installed."""
    return NOT_FOR_TRAINING if keras_backend() == "jax" else (*NOT_FOR_TRAINING, "jax")


def keras_backend() -> str:
    """The backend that `import keras` will choose: KERAS_BACKEND, else its configuration file, else tensorflow."""
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        return chosen
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    with suppress(OSError, ValueError, AttributeError):
        return str(json.loads((home / "keras.json").read_text()).get("backend", "tensorflow"))
    return "tensorflow"


@contextmanager
def block_imports(*names: str) -> Iterator[None]:
    """In the block an import of one of these fails as if it were not installed; one already imported stays."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how Python marks "not to be found"
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


def claim_process() -> None:
    """Say that toprung alone uses this process: a worker, a command. A notebook, a script or a test is its user's."""
    _claimed.set()


def import_keras() -> None:
    """Import Keras; in a claimed process without what is not needed, which takes half the time.

    A user's process gets the whole of Keras, of which it may use any part.
    """
    if not _claimed.is_set() or "keras" in sys.modules:
        import keras

        return
    gc.disable()  # an import leaves next to no garbage, and each collection walks through all modules
    try:
        with block_imports(*imports_not_needed_for_training()):
            import keras  # noqa: F401
        gc.freeze()
    finally:
        gc.enable()


def start_keras_quietly() -> None:
    """Import Keras and make its backend look for its devices, at the first tensor; what it lacks is not told."""
    with silence_native_stderr():
        import_keras()
        import keras

        keras.ops.zeros(())


@contextmanager
def silence_native_stderr() -> Iterator[None]:
    """Drop what native code writes to standard error in the block; exceptions pass as always."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    original, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(original, 2)
        os.close(original)
        os.close(devnull)
