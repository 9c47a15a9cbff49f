"""The mechanisms of the strategy, each switched off alone, for `quality.py --ablations`.

They have no settings, since a search needs none: here their code is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np

from toprung.search.strategy import proposer
from toprung.search.strategy.early_stopping.asha import SuccessiveHalving
from toprung.search.strategy.first_rung import FirstRung
from toprung.search.strategy.surrogate import acquisition, length_scale_fit, model
from toprung.search.strategy.surrogate.encoding import Column
from toprung.search.strategy.surrogate.evidence import Evidence
from toprung.search.strategy.surrogate.multi_fidelity import Link
from toprung.search.strategy.surrogate.survival import Survival

Switch = Callable[[], AbstractContextManager[Any]]


def _nothing(*_: Any) -> None:
    """In place of a method whose effect is switched off."""


def _fitted_to_survivors(
    predicted: np.ndarray, beyond: np.ndarray, scores: np.ndarray, _: tuple[float, float]
) -> Link:
    """The slope on the prediction alone, with a prior as narrow as the survivors are."""
    return _fitted(predicted, np.zeros(len(beyond)), scores, (float(predicted.var()), 0.0))


def _long_length(dims: int) -> float:
    """The median of the prior of Hvarfner et al. 2024."""
    return float(np.exp(np.sqrt(2.0)) * np.sqrt(dims))


_fitted = Link.fitted

ABLATIONS: Mapping[str, Switch] = {
    "no wait for a predictive rung": lambda: patch.object(Evidence, "predicts_the_end", True),
    "the first rung never moves": lambda: patch.object(FirstRung, "update", _nothing),
    "slopes fitted to survivors": lambda: patch.object(Link, "fitted", _fitted_to_survivors),
    "choices have no order": lambda: patch.object(Column, "order", None),
    "no chance of survival": lambda: patch.object(Survival, "fitted", _nothing),
    "failures stay in the rungs": lambda: patch.object(SuccessiveHalving, "forget", _nothing),
    "no random proposals": lambda: patch.object(proposer, "RANDOM_SHARE", 2**31),
    "around the best from the start": lambda: patch.object(acquisition, "FEW_TRIALS", 0),
    "long length scales expected": lambda: patch.object(length_scale_fit, "typical_length", _long_length),
    "time is not weighed": lambda: patch.object(model.EpochCost, "fitted", _nothing),
}


def switched_off(name: str) -> AbstractContextManager[Any]:
    """The strategy without the mechanism of this name; whole where the name is that of a policy."""
    return ABLATIONS.get(name, nullcontext)()
