"""What MLflow is told of a search beside its trials: the job's settings, and the ranges of the space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toprung.results.tracking.tracking_settings import SearchDescription
from toprung.search.runs.allowed_changes import may_change
from toprung.spaces.definition.introspection import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from optuna.distributions import BaseDistribution

    from toprung.search.jobs.schema import Job


def search_description(
    job: Job, space: Callable[[Any], Mapping[str, Any]] | None = None
) -> SearchDescription:
    """The settings that a job's run keeps for life, one by one, and the whole job as a text.

    With `space` also the range of each of its parameters, as in range.learning_rate: 0.0001 to 0.1, log.
    """
    settings = {key: str(value) for key, value in job.settings().items() if not may_change(key)}
    parameters = describe(space) if space else {}
    ranges = {f"range.{name}": _in_words(distribution) for name, distribution in parameters.items()}
    return SearchDescription(job.search.metric, job.search.trials, {**settings, **ranges}, job.to_yaml())


def _in_words(distribution: BaseDistribution) -> str:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    scale = ", log" if distribution.log else ""
    finest = None if isinstance(distribution, FloatDistribution) else 1
    step = f", step {distribution.step:g}" if distribution.step not in (None, finest) else ""
    return f"{distribution.low:g} to {distribution.high:g}{scale}{step}"
