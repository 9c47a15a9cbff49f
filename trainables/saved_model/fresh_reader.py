"""Loads a saved model in a process of its own and predicts images: `read_back.py` runs this file by its path.

It imports nothing of toprung, and where the model has no code of the user it sees to it that Keras cannot either: so a
file that needs toprung is found here and not by the first user of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

BATCH = 64


def main(model_file: str, images_file: str, outputs_file: str, without: str, user_code: str = "") -> None:
    """Write the model's outputs for the images, float32 (N, outputs).

    Args:
        model_file: The .keras file.
        images_file: uint8 (N, H, W, C), a NumPy file.
        outputs_file: The NumPy file to write.
        without: What Keras is imported without, with commas between the names.
        user_code: The file of a user's code, or the name of its module; "" for none.
    """
    _import_keras(without.split(","))
    module = None
    if not user_code:
        sys.modules["toprung"] = None  # type: ignore[assignment]  # how Python marks "not to be found"
    elif user_code.endswith(".py"):
        module = _run(user_code)
    else:
        sys.path.append("")
        module = importlib.import_module(user_code)
    import numpy as np

    model = load_keras(model_file, module)
    images = np.load(images_file, mmap_mode="r")
    batches = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    outputs = [np.asarray(model(batch, training=False)) for batch in batches]
    np.save(outputs_file, np.concatenate(outputs))


def _import_keras(without: Sequence[str]) -> None:
    """As `import_keras` of toprung, which this process must not import, does it in a claimed process."""
    sys.modules.update(dict.fromkeys(without))  # type: ignore[arg-type]
    import keras  # noqa: F401

    for name in without:
        del sys.modules[name]


def load_keras(model_file: str, module: ModuleType | None) -> Any:
    """The Keras model in a file; Keras finds a user's own classes and functions only where it is given them."""
    import keras

    found = vars(module) if module else {}
    own = {name: each for name, each in found.items() if inspect.isclass(each) or inspect.isfunction(each)}
    return keras.saving.load_model(model_file, custom_objects=own, safe_mode=True)


def _run(file: str) -> ModuleType:
    """Run a file as a module; what it imports is also searched in its folder."""
    name = "toprung_user_code"
    sys.path.append(str(Path(file).parent))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None, "Python has a loader for every file that ends in .py"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main(*sys.argv[1:])
