"""What random walks through a job's space show: its configurations, and whether a sampler can model them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from toprung.search.strategy.sampling.optuna_samplers import OPTUNA_SAMPLERS
from toprung.search.strategy.sampling.samplers import SAMPLERS
from toprung.spaces.definition.introspection import SAMPLES, RecordingTrial, changing_parameters
from toprung.spaces.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.spaces.families.registry import Space


def sampled_configs(space: Space) -> Iterator[dict[str, Any]]:
    """The configurations of random walks through the space, the same in every process."""
    rng = random.Random(0)
    return (space(RecordingTrial(rng, {})) for _ in range(SAMPLES))


def check_sampler_models(sampler: str, space: Space) -> None:
    """Raise InputError where the sampler would fail at the space in the middle of the search."""
    unable = {name for name, known in OPTUNA_SAMPLERS.items() if known.needs_same_distributions}
    changing = ", ".join(changing_parameters(space)) if sampler in unable else ""
    if changing:
        given = f"{sampler!r}, and {changing} has other choices, or another type, from trial to trial"
        able = ", ".join(name for name in SAMPLERS if name not in unable)
        raise InputError.single("search.sampler", given, f"must be one of {able} in this space")
