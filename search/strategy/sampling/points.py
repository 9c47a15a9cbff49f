"""Points of a space and observations at them; keys of configurations; seeds derived from other seeds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import BaseTrial

Space = Callable[["BaseTrial"], Mapping[str, Any]]
"""An Optuna define-by-run space: calls `trial.suggest_*` and returns a flat configuration."""


@dataclass(frozen=True)
class Point:
    """A point of a space: the configuration, and the parameters that were suggested for it.

    Attributes:
        config: What the space returned.
        params: The suggested values by parameter name, as in an Optuna trial.
        distributions: The distribution of each parameter; parameters and choices may differ from trial to trial.
    """

    config: dict[str, Any]
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]

    @property
    def params_outside_config(self) -> dict[str, Any]:
        """The parameters whose value the configuration lacks under their name; `locate_in_space` needs them too."""
        config = self.config
        return {
            name: value for name, value in self.params.items() if name not in config or config[name] != value
        }


@dataclass(frozen=True)
class Observation:
    """A trial that a sampler may learn from: its score (higher is better), or None while it is running."""

    number: int
    point: Point
    score: float | None


def subseed(*parts: object) -> int:
    """Derive a 31-bit seed from any printable parts; the same on every machine and in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1


def config_key(config: Mapping[str, Any]) -> str:
    """A text that is equal for equal configurations, whatever the order of their names."""
    return json.dumps(config, sort_keys=True, default=_as_json)


def _as_json(value: Any) -> Any:
    # The repr of a large array leaves its middle out.
    return value.tolist() if isinstance(value, np.ndarray) else repr(value)
