"""A family's model as it is trained: repeatable, checked, in the precision and with the kernels it is computed in.

Imports keras at the top: only processes that train load this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from trainables.engine import precision_of
from trainables.export import check_copies
from trainables.family import checked
from trainables.fused import fuse
from trainables.initialize import seeded_build

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainables.family import Family
    from trainables.task import Task


def built_model(family: Family, config: Mapping[str, Any], task: Task, precision: str) -> keras.Model:
    """The family's model of `config`. Raises InputError when it does not fit the task."""
    with seeded_build(), precision_of(precision):
        model = checked(family.build(config, task), task)
    check_copies(model)
    # Rounded to bfloat16's 8 bits logits would tie, and probabilities not add up to 1.
    last = last_layer(model)
    if last.dtype_policy.name.startswith("mixed_"):
        last.dtype_policy = "float32"
    fuse(model)
    return model


def last_layer(model: keras.Model) -> keras.Layer:
    """The layer that gives the model's output, inside whatever models it is nested in."""
    last = model.layers[-1]
    return last_layer(last) if isinstance(last, keras.Model) else last
