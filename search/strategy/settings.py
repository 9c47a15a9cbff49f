"""What a strategy can be told, and how its trials are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from toprung.search.strategy.sampling.distributions import allows
from toprung.search.strategy.sampling.points import Point, Space
from toprung.search.strategy.sampling.samplers import sample
from toprung.spaces.definition.validation import bounds_rule
from toprung.spaces.errors import InputError, Problem

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def check_settings(
    max_epochs: int,
    modes: Mapping[str, str],
    reduction_factor: int,
    min_epochs: int,
    variant: str,
    max_trials: int | None,
) -> None:
    """Raise InputError with every setting that cannot be."""
    rules = [
        (max_epochs >= 1, "max_epochs", max_epochs, "must be at least 1"),
        (set(modes.values()) <= {"max", "min"}, "mode", ", ".join(modes.values()), "must be max or min"),
        (reduction_factor >= 2, "reduction_factor", reduction_factor, "must be at least 2"),
        (1 <= min_epochs <= max_epochs, "min_epochs", min_epochs, "must be between 1 and max_epochs"),
        (variant in ("stop", "promote"), "variant", variant, "must be stop or promote"),
        (max_trials is None or max_trials >= 1, "max_trials", max_trials, "must be at least 1"),
    ]
    problems = [Problem(where, repr(given), allowed) for holds, where, given, allowed in rules if not holds]
    if problems:
        raise InputError(problems)


def check_initial(space: Space, configs: Sequence[Mapping[str, Any]]) -> None:
    """Raise InputError with every value of the user's first points that the space does not allow."""
    problems = [
        Problem(f"search.initial_configs[{i}].{name}", repr(config[name]), allowed)
        for i, config in enumerate(configs)
        for name, allowed in _refused(space, i, config)
    ]
    if problems:
        raise InputError(problems)


def allowed_subset(space: Space, config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration the space lets choose."""
    return _laid_into(space, 0, config)[0]


def _refused(space: Space, number: int, config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names this space refuses with their value, and what it allows."""
    fitting, refused, drawn = _laid_into(space, number, config)
    known = f"must be one of {', '.join(sorted(drawn.distributions))}"
    # What the job holds fixed may be repeated: a whole configuration can be taken over from a table.
    strange = [name for name in config if name not in fitting and drawn.config.get(name) != config[name]]
    return [*refused.items(), *([] if refused else [(name, known) for name in strange])]


def _laid_into(
    space: Space, number: int, config: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str], Point]:
    """What fits, what the space refuses with its rule, and a draw with what fits; conditions are followed."""
    drawn = sample(space, "random", 0, number, fixed=config)
    known = {name: kind for name, kind in drawn.distributions.items() if name in config}
    fitting = {name: config[name] for name, kind in known.items() if allows(kind, config[name])}
    refused = {name: f"must be {_rule(kind)}" for name, kind in known.items() if name not in fitting}
    return fitting, refused, drawn


def _rule(kind: BaseDistribution) -> str:
    step = getattr(kind, "step", None)
    return bounds_rule(kind) if step in (None, 1) else f"{bounds_rule(kind)} in steps of {step}"
