"""The rows of the table `space`: what may be chosen, as random walks through the job's space show it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from toprung.spaces.definition.conditions import UNKNOWN, condition_of, walks_through
from toprung.spaces.definition.plain_values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from optuna.distributions import BaseDistribution

    from toprung.results.tables.rows import Row


def space_rows(space: Callable[[Any], Mapping[str, Any]]) -> list[Row]:
    """One row for each parameter of a define-by-run space, its constants included.

    `kind` is float, int or categorical; constant where there is one value, which `fixed` holds; derived where the space
    computes the value from others.
    """
    walks, distributions = walks_through(space)
    params = [walk.params for walk in walks]
    rows = [_parameter(name, one, params) for name, one in distributions.items()]
    others = dict.fromkeys(name for walk in walks for name in walk.config if name not in distributions)
    return [*rows, *(_constant(name, [walk.config for walk in walks]) for name in others)]


def _parameter(name: str, distribution: BaseDistribution, walks: Sequence[Mapping[str, Any]]) -> Row:
    found = condition_of(name, walks)
    kind = type(distribution).__name__.removesuffix("Distribution").lower()
    choices = getattr(distribution, "choices", None)
    values = next((one[name] for one in walks if name in one), None)
    return {
        "name": name,
        "kind": "constant" if distribution.single() else kind,
        "low": getattr(distribution, "low", None),
        "high": getattr(distribution, "high", None),
        "log": getattr(distribution, "log", None),
        "step": getattr(distribution, "step", None),
        "choices": None if choices is None else json.dumps([plain(choice) for choice in choices]),
        "condition": UNKNOWN if found is None else str(found) or None,
        "fixed": json.dumps(plain(values)) if distribution.single() else None,
    }


def _constant(name: str, configs: Sequence[Mapping[str, Any]]) -> Row:
    texts = {json.dumps(plain(config[name]), default=str) for config in configs if name in config}
    is_single = len(texts) == 1
    return {
        "name": name,
        "kind": "constant" if is_single else "derived",
        "fixed": texts.pop() if is_single else None,
    }
