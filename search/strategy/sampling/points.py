"""A point of a space, an observation at a point, and seeds derived from other seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = Callable[[Any], Mapping[str, Any]]
Config = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """Where a trial lies in the space: its configuration, and the parameters suggested for it by name."""

    config: Config
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]

    @property
    def beside_config(self) -> dict[str, Any]:
        """The parameters that do not stand in the configuration under their name: `place` needs them beside it."""
        config = self.config
        return {
            name: value for name, value in self.params.items() if name not in config or config[name] != value
        }


@dataclass(frozen=True)
class Observation:
    """A trial a model may learn from; `score` is higher for better, None while its result is still to come."""

    number: int
    point: Point
    score: float | None


def subseed(*parts: object) -> int:
    """A 31-bit seed from any printable parts; the same on every machine and in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
