"""A family's model made ready for training: built repeatably, checked, in its precision and with fused kernels.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from toprung.spaces.errors import InputError
from toprung.trainables.backend.engine import use_precision
from toprung.trainables.models.deterministic_build import deterministic_build
from toprung.trainables.models.export import check_copies
from toprung.trainables.models.family import check_model
from toprung.trainables.models.fused_batch_norm import fuse
from toprung.trainables.optimization.recipe import RECIPE_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.models.family import Family
    from toprung.trainables.task.task import Task


def build_model(family: Family, config: Mapping[str, Any], task: Task, precision: str) -> keras.Model:
    """Build the family's model of a configuration.

    Args:
        family: The model family.
        config: The trial's configuration.
        task: The task that the model is for.
        precision: Keras' dtype policy, one of `PRECISIONS`.

    Raises:
        InputError: The model does not fit the task, depends on the training recipe, or has a layer that cannot be
            exported.
    """
    watched = _WatchedConfig(config)
    with deterministic_build(_is_built_in(family)), use_precision(precision):
        model = check_model(family.build(watched, task), task)
        _check_policy(precision)
    _check_reads(watched.read)
    check_copies(model)
    # Rounded to bfloat16's 8 bits, logits would tie and probabilities would not add up to 1.
    last = last_layer(model)
    if last.dtype_policy.name.startswith("mixed_"):
        last.dtype_policy = "float32"
    fuse(model)
    return model


def _is_built_in(family: Family) -> bool:
    return type(family).__module__.partition(".")[0] == __name__.partition(".")[0]


class _WatchedConfig(dict[str, Any]):
    """A configuration that remembers which of its entries were looked up."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As `dict.get`."""
        self.read.add(key)
        return super().get(key, default)


def _check_reads(read: set[str]) -> None:
    """Raise InputError if the model depends on the training recipe: trials that differ in it share one model."""
    shared = sorted(read & RECIPE_KEYS)
    if shared:
        given = (
            f"build reads {', '.join(shared)}, of the training recipe, in which trials of one model differ"
        )
        rule = "what changes the model needs a name of its own, such as bn_momentum"
        raise InputError.single("space.name", given, rule)


def _check_policy(precision: str) -> None:
    """Raise InputError if the build has changed what belongs to the whole process and to the next trials."""
    found = keras.config.dtype_policy().name
    if found != precision:
        rule = "give the policy to the layers that need it, as dtype=, or set resources.precision"
        raise InputError.single("space.name", f"build sets Keras' global policy to {found}", rule)


def last_layer(model: keras.Model) -> keras.Layer:
    """The layer that computes the model's output, also where models are nested."""
    last = model.layers[-1]
    return last_layer(last) if isinstance(last, keras.Model) else last
