"""A chart as data: what a page draws on a canvas and matplotlib into a picture, from the same values.

The page draws with 20 kB of script of its own. Libraries were measured: bokeh inline takes 1.3 MB, altair 0.9 MB,
plotly 4.8 MB of a page that has 0.1 MB of content; none of them marks a chosen trial in every chart, follows the
colours of the reader's system or prints without as much script again. A chart is a few series of a few kinds, so that a
new one is a Python function, and both renderers draw it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Values = Sequence[float] | NDArray[Any] | pd.Series[Any]

Kind = Literal["points", "line", "step", "band", "bars", "rule", "heat"]
"""points and line: (x, y); step: a line that holds its value; band: from y to `to`; bars: horizontal, in row y from x
to `to`; rule: a line across at x (or, with no x, at y); heat: a cell at (x, y) with the value `to`."""

DIGITS = 5


@dataclass(frozen=True)
class Axis:
    """An axis: its label, its scale, the names of its positions 0, 1, ... where it has names, whether it counts."""

    label: str
    log: bool = False
    names: tuple[str, ...] = ()
    whole: bool = False


@dataclass(frozen=True)
class Series:
    """Marks of one kind and colour.

    Attributes:
        name: What the legend says.
        kind: How it is drawn, and what x, y and `to` are.
        x: Positions; NaN breaks a line.
        y: Positions; for `rule` empty, where it stands at x.
        to: The second value of the kinds that have one.
        trials: The number of each mark's trial, -1 for none; empty where marks belong to no trial.
        color: Its role: an outcome, or accent, muted, second, third.
        labels: What is said of each mark beside its values.
    """

    name: str
    kind: Kind
    x: Values
    y: Values = ()
    to: Values = ()
    trials: Sequence[int] = ()
    color: str = "accent"
    labels: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """A chart: a title that names it, one sentence that says what it shows, its axes and series."""

    id: str
    title: str
    note: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    height: int = 240
    wide: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(len(one.x) or len(one.y) for one in self.series if one.kind != "rule")

    def as_json(self) -> dict[str, Any]:
        """The chart in types that JSON has: numbers with five digits, null for NaN."""
        return {
            "id": self.id,
            "title": self.title,
            "note": self.note,
            "x": vars(self.x),
            "y": vars(self.y),
            "height": self.height,
            "series": [_series_as_json(one) for one in self.series],
        }


def rounded(values: Iterable[float], digits: int = DIGITS) -> list[float | int | None]:
    """Numbers with so many significant digits, whole ones as integers, None for those that are not finite."""
    return [_rounded(float(value), digits) for value in values]


def _rounded(value: float, digits: int) -> float | int | None:
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short == int(short) and abs(short) < 1e15 else short


def _series_as_json(series: Series) -> dict[str, Any]:
    content: dict[str, Any] = {
        "name": series.name,
        "kind": series.kind,
        "color": series.color,
        "x": rounded(series.x),
    }
    for name in ("y", "to"):
        if len(values := getattr(series, name)):
            content[name] = rounded(values)
    if len(series.trials):
        content["trials"] = [int(one) for one in series.trials]
    if len(series.labels):
        content["labels"] = list(series.labels)
    return content


def evenly(count: int, most: int, keep: Sequence[int] = ()) -> list[int]:
    """At most about `most` of the indices 0 ... count - 1, spread evenly, those to keep among them."""
    if count <= most:
        return list(range(count))
    spread = np.linspace(0, count - 1, max(1, most - len(keep))).astype(int)
    return sorted({*spread.tolist(), *keep})
