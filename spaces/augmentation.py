"""How much the training images are varied: one strength, and whether a mirror image is the same thing."""

from __future__ import annotations

from typing import Any


def space(trial: Any) -> dict[str, Any]:
    """Draw `augment`, a strength in [0, 1] where 0 leaves images untouched, and `flip`.

    `flip` mirrors half the images left to right whatever the strength: right for photographs, wrong for
    digits.
    """
    return {
        "augment": trial.suggest_float("augment", 0.0, 1.0),
        "flip": trial.suggest_categorical("flip", [True, False]),
    }
