"""The spaces of this package: each with the function that draws a configuration and the class that builds a model.

A new space with its model family is one line here, beside the file of the space and the file of the family.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toprung.spaces.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Registration:
    """Where the two halves of a space are, each as a reference "module:attribute" that is imported when it is needed.

    space: the define-by-run function, `space(trial) -> dict`, or an object that has it as a method.
    family: the model family (see `trainables.models.family`), or a class of such.
    """

    space: str
    family: str


_CNN = "toprung.trainables.models.cnn:CnnFamily"


BUILT_IN: Mapping[str, Registration] = {
    "cnn": Registration("toprung.spaces.families.cnn:space", _CNN),
    "cnn_full": Registration("toprung.spaces.families.cnn:full", _CNN),
    "cnn_vgg": Registration("toprung.spaces.families.presets:cnn_vgg", _CNN),
    "cnn_max_norm": Registration("toprung.spaces.families.presets:cnn_max_norm", _CNN),
    "cnn_small": Registration("toprung.spaces.families.presets:cnn_small", _CNN),
    "transfer": Registration(
        "toprung.spaces.families.transfer:space", "toprung.trainables.models.transfer:TransferFamily"
    ),
}


def registration_of(name: str) -> Registration:
    """What `space.name` of a job stands for: a built-in name, or a reference to user code that is both halves.

    Raises:
        InputError: `name` is neither.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if ":" in name:
        return Registration(name, name)
    hint = did_you_mean(name, BUILT_IN) or (
        f'known: {", ".join(BUILT_IN)}, or write "module:function" or "file.py:name"'
    )
    raise InputError.single("space.name", f"unknown space {name!r}", hint)
