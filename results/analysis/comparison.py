"""Several runs beside each other: what differs between them, and which settings are better as far as seeds can tell."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.trial.objectives import Objective

LEVEL = 0.95
# Where a run is kept and computed, and what happens after it, changes no value.
IRRELEVANT = ("name", "seed", "storage", "tracking", "resources", "retrain", "data.path", "search.warm_start")


@dataclass(frozen=True)
class ComparedRun:
    """One run in a comparison.

    Attributes:
        name: What it is called.
        seed: Of its job.
        best: Its best value; NaN where it has none.
        settings: Its job, flat: `search.trials` and so on.
        fingerprint: That of its images; None where it is not known.
    """

    name: str
    seed: int
    best: float
    settings: Mapping[str, Any]
    fingerprint: str | None


@dataclass(frozen=True)
class Group:
    """Runs of the same settings; the mean over their seeds of the best, with its 95% interval, NaN for one seed."""

    runs: tuple[ComparedRun, ...]
    mean: float
    low: float
    high: float

    @property
    def seeds(self) -> int:
        """How many different seeds the runs have: one seed tells once, however often it was run."""
        return len({run.seed for run in self.runs})

    @property
    def names(self) -> str:
        """The names of the runs."""
        return ", ".join(run.name for run in self.runs)


@dataclass(frozen=True)
class Contrast:
    """How far a group is behind the first: the mean difference in the metric's score, and its 95% interval.

    `method` says how it was measured, or why it cannot be told; all numbers are NaN then but the difference.
    """

    group: Group
    behind: float
    low: float
    high: float
    method: str

    @property
    def verdict(self) -> str:
        """Whether the first is better: better, not better, or cannot tell."""
        if math.isnan(self.low):
            return f"cannot tell: {self.method}"
        if self.low > 0.0:
            return "the first is better"
        return "this one is better" if self.high < 0.0 else "cannot tell: the interval holds 0"


def differing(runs: Sequence[ComparedRun]) -> dict[str, list[Any]]:
    """By setting, its value in each run, of the settings in which the runs differ; the name is none."""
    keys = sorted({key for run in runs for key in run.settings} - {"name"})
    table = {key: [run.settings.get(key) for run in runs] for key in keys}
    if any(run.fingerprint != runs[0].fingerprint for run in runs):
        table["images (fingerprint)"] = [(run.fingerprint or "unknown")[:12] for run in runs]
    return {key: values for key, values in table.items() if any(value != values[0] for value in values)}


def groups_of(runs: Sequence[ComparedRun], objective: Objective) -> list[Group]:
    """The runs grouped by what may change their values, the best mean first, those without a value last."""
    found: defaultdict[tuple[str, ...], list[ComparedRun]] = defaultdict(list)
    for run in runs:
        relevant = (
            f"{key}={value!r}" for key, value in sorted(run.settings.items()) if not _is_irrelevant(key)
        )
        found[run.fingerprint or "", *relevant].append(run)
    groups = [_group(members) for members in found.values()]
    return sorted(groups, key=lambda one: (math.isnan(one.mean), -objective.score(one.mean)))


def contrasts(groups: Sequence[Group], objective: Objective) -> list[Contrast]:
    """Each further group against the first: paired by seed where at least two seeds are in both."""
    return [_contrast(groups[0], other, objective) for other in groups[1:]]


def mean_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean and Student's 95% interval; its bounds NaN for a single value."""
    finite = np.array([value for value in values if math.isfinite(value)], dtype=float)
    if not len(finite):
        return math.nan, math.nan, math.nan
    mean = float(finite.mean())
    if len(finite) < 2:
        return mean, math.nan, math.nan
    half = _quantile(len(finite) - 1) * float(finite.std(ddof=1)) / math.sqrt(len(finite))
    return mean, mean - half, mean + half


def _group(runs: Sequence[ComparedRun]) -> Group:
    return Group(tuple(runs), *mean_interval(list(_by_seed(runs).values())))


def _by_seed(runs: Sequence[ComparedRun]) -> dict[int, float]:
    """By seed, the mean of the best values of its runs, of those that have one."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for run in runs:
        if math.isfinite(run.best):
            found[run.seed].append(run.best)
    return {seed: float(np.mean(values)) for seed, values in found.items()}


def _contrast(first: Group, other: Group, objective: Objective) -> Contrast:
    behind = objective.score(first.mean) - objective.score(other.mean)
    if first.runs[0].fingerprint != other.runs[0].fingerprint:
        return Contrast(other, behind, math.nan, math.nan, _why_images_differ(first.runs[0], other.runs[0]))
    ours, theirs = (
        {seed: objective.score(best) for seed, best in _by_seed(group.runs).items()}
        for group in (first, other)
    )
    shared = sorted(ours.keys() & theirs.keys())
    if len(shared) >= 2:
        mean, low, high = mean_interval([ours[seed] - theirs[seed] for seed in shared])
        return Contrast(other, mean, low, high, f"paired by {len(shared)} seeds")
    a, b = (np.array(list(side.values())) for side in (ours, theirs))
    if len(a) < 2 or len(b) < 2:
        return Contrast(other, behind, math.nan, math.nan, "run each of them with the same two or more seeds")
    return _welch(other, a, b)


def _why_images_differ(first: ComparedRun, other: ComparedRun) -> str:
    one, two = (
        {key: value for key, value in run.settings.items() if key.startswith("data.")}
        for run in (first, other)
    )
    if one == two and first.seed != other.seed:
        return "the images differ, as each seed draws splits of its own; the same data.seed keeps them"
    return "the images differ"


def _welch(other: Group, ours: np.ndarray, theirs: np.ndarray) -> Contrast:
    """Welch's interval for two means of different variances."""
    errors = [float(side.var(ddof=1)) / len(side) for side in (ours, theirs)]
    behind, error = float(ours.mean() - theirs.mean()), sum(errors)
    if error == 0.0:
        return Contrast(other, behind, behind, behind, "by means over seeds")
    parts = [one**2 / (len(side) - 1) for one, side in zip(errors, (ours, theirs), strict=True)]
    half = _quantile(error**2 / sum(parts)) * math.sqrt(error)
    return Contrast(other, behind, behind - half, behind + half, "by means over seeds")


def _quantile(degrees: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, degrees))


def _is_irrelevant(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in IRRELEVANT)
