"""The unit in which a chart shows times, so that its numbers are easy to read."""

from __future__ import annotations

from typing import NamedTuple


class TimeUnit(NamedTuple):
    """A unit of time: its name and its seconds."""

    name: str
    secs: float


UNITS = (
    TimeUnit("seconds", 1.0),
    TimeUnit("minutes", 60.0),
    TimeUnit("hours", 3600.0),
    TimeUnit("days", 86400.0),
)

CLOCKS = {
    "epochs": "epochs of all trials",
    "worker_hours": "{unit} of training, all workers",
    "hours": "{unit} on the clock",
}
"""What the best so far is drawn against: columns of `incumbents`."""


def clock_axis(column: str, most: float) -> tuple[str, float]:
    """The label of an axis for a column of CLOCKS up to a value, and what the column is multiplied by for it."""
    if column == "epochs":
        return CLOCKS[column], 1.0
    unit = unit_of(3600.0 * most)
    return CLOCKS[column].format(unit=unit.name), 3600.0 / unit.secs


def unit_of(most_secs: float) -> TimeUnit:
    """The largest unit of which there are at least two, else seconds."""
    return next((unit for unit in reversed(UNITS) if most_secs >= 2 * unit.secs), UNITS[0])


def in_words(secs: float) -> str:
    """Seconds in that unit: 42 seconds, 3.5 hours."""
    unit = unit_of(secs)
    return f"{secs / unit.secs:.3g} {unit.name}"
