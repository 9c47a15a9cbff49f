"""The charts of a page as pictures for a paper or slides, by matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.results.report.literal_texts import literal_texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from toprung.results.report.charts.chart import Axis, Chart, Series

COLORS = {
    "accent": "#2563b0", "second": "#c2560c", "third": "#1a7f4b", "fourth": "#8250bf", "fifth": "#9a6700",
    "muted": "#8c959f", "ink": "#1b1f24", "COMPLETED": "#1a7f4b", "STOPPED": "#7d98b8", "RUNNING": "#c2560c",
    "DIVERGED": "#c62828", "OOM": "#8250bf", "PREEMPTED": "#9a6700", "TIMEOUT": "#6b4f2a", "FAILED": "#a3195b",
}  # fmt: skip
DPI = 160
PIXELS_PER_INCH = 90


def write_pictures(charts: Sequence[Chart], folder: Path) -> Iterator[Path]:
    """Write each chart as ID.png into a folder that exists, and give its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for chart in charts:
        path = folder / f"{_file_name(chart.id)}.png"
        with literal_texts():
            figure = Figure(
                figsize=(9 if chart.wide else 6, max(2.2, chart.height / PIXELS_PER_INCH + 0.8)),
                layout="constrained",
            )
            FigureCanvasAgg(figure)
            _draw(chart, figure.add_subplot())
            figure.savefig(path, dpi=DPI)
        yield path


def _draw(chart: Chart, axes: Any) -> None:
    for series in chart.series:
        _DRAWN[series.kind](axes, series, COLORS.get(series.color, COLORS["accent"]))
    axes.set_title(chart.title, loc="left", fontsize=11)
    for axis, side in ((chart.x, "x"), (chart.y, "y")):
        _scale(axes, axis, side)
    if chart.y.names:
        axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    names = dict.fromkeys(series.name for series in chart.series if series.kind not in ("rule", "heat"))
    if len(names) > 1:
        # Bars fill the axes: their legend stands above.
        place = (
            {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "ncols": len(names)} if chart.y.names else {}
        )
        axes.legend(fontsize=8, frameon=False, **place)


def _scale(axes: Any, axis: Axis, side: str) -> None:
    getattr(axes, f"set_{side}label")(axis.label, fontsize=9)
    if axis.names:
        getattr(axes, f"set_{side}ticks")(
            range(len(axis.names)), axis.names, fontsize=8, rotation=30 if side == "x" else 0
        )
    elif axis.log:
        from matplotlib.ticker import LogFormatter

        getattr(axes, f"set_{side}scale")("log")
        for kind in ("major", "minor"):  # the usual labels are formulas
            getattr(getattr(axes, f"{side}axis"), f"set_{kind}_formatter")(LogFormatter())


def _line(axes: Any, series: Series, color: str) -> None:
    is_many = len(series.trials) > 0
    known = np.isfinite(np.asarray(series.x, dtype=float)) & np.isfinite(np.asarray(series.y, dtype=float))
    around = np.concatenate([[False], known, [False]])
    lone = known & ~around[:-2] & ~around[2:]  # a trial of one epoch has no line to be seen by
    axes.scatter(np.asarray(series.x)[lone], np.asarray(series.y)[lone], s=5, color=color, linewidths=0)
    axes.plot(
        series.x,
        series.y,
        color=color,
        lw=0.8 if is_many else 1.8,
        alpha=0.6 if is_many else 1.0,
        label=series.name,
    )


def _step(axes: Any, series: Series, color: str) -> None:
    axes.plot(series.x, series.y, color=color, lw=1.8, drawstyle="steps-post", label=series.name)


def _points(axes: Any, series: Series, color: str) -> None:
    axes.scatter(series.x, series.y, s=14, color=color, alpha=0.7, linewidths=0, label=series.name, zorder=3)


def _band(axes: Any, series: Series, color: str) -> None:
    axes.fill_between(series.x, series.y, series.to, color=color, alpha=0.18, lw=0, label=series.name)


def _bars(axes: Any, series: Series, color: str) -> None:
    widths = np.asarray(series.to, dtype=float) - np.asarray(series.x, dtype=float)
    axes.barh(series.y, widths, left=series.x, height=0.75, color=color, label=series.name)


def _rule(axes: Any, series: Series, color: str) -> None:
    for value in series.x:
        axes.axvline(value, color=color, lw=0.8, ls=":")
    for value in series.y:
        axes.axhline(value, color=color, lw=0.8, ls=":")


def _heat(axes: Any, series: Series, _: str) -> None:
    columns, rows = np.unique(np.asarray(series.x, dtype=float)), np.unique(np.asarray(series.y, dtype=float))
    grid = np.full((len(rows), len(columns)), np.nan)
    grid[np.searchsorted(rows, series.y), np.searchsorted(columns, series.x)] = series.to
    drawn = axes.pcolormesh(columns, rows, grid, shading="nearest", cmap="Blues")
    axes.figure.colorbar(drawn, ax=axes, label=series.name)


_DRAWN = {
    "line": _line,
    "step": _step,
    "points": _points,
    "band": _band,
    "bars": _bars,
    "rule": _rule,
    "heat": _heat,
}


def _file_name(text: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in text)
