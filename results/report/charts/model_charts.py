"""Charts of what the joint model of configuration and epoch says: importance, slices, and the top two together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.results.analysis.importance.importance import Importance, importance
from toprung.results.analysis.importance.joint_model import JointModel, features_of
from toprung.results.analysis.importance.parameter import Parameter
from toprung.results.report.charts.chart import Axis, Chart, Series, evenly

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.results.report.charts.run_view import RunView

MOST_POINTS, MOST_SLICES, MOST_BARS = 600, 12, 20
GRID, BACKGROUND = 20, 100
ENOUGH_AT_EPOCH = 12


@dataclass(frozen=True)
class ModelView:
    """The importance of the parameters of a run, and the charts of the model behind it."""

    found: Importance
    charts: tuple[Chart, ...]

    @classmethod
    def of(cls, view: RunView) -> ModelView:
        """Fit the model to the run's rungs and draw it."""
        found, model = importance(view.parameters, view.rung_results, view.job.max_epochs)
        charts = (
            []
            if model is None
            else [_importances(found), *_slices(view, found, model), *_contour(view, found, model)]
        )
        return cls(found, tuple(charts) if charts else tuple(_plain_slices(view)))


def _importances(found: Importance) -> Chart:
    shown, others = found.parameters[:MOST_BARS], found.parameters[MOST_BARS:]
    names = tuple(_label(one.name, one.active_share) for one in shown)
    rows = [float(i) for i in range(len(names))]
    bars = Series("total Sobol index", "bars", np.zeros(len(rows)), rows, [one.index for one in shown])
    rest = f" The other {len(others)} are at most {others[0].index:.2g}." if others else ""
    note = (
        "The share of the differences that is lost where all other parameters are known and this one is not, the mean "
        f"over the rungs. The model explains {found.r2:.0%} of the differences between trials it has not seen "
        f"(cross-validated R2); the order is worth more than the numbers.{rest}"
    )
    height = 60 + 24 * max(2, len(names))
    return Chart(
        "importance",
        "Importance",
        note,
        Axis("total Sobol index"),
        Axis("", names=names),
        (bars,),
        height,
        True,
    )


def _label(name: str, share: float) -> str:
    return name if share > 0.999 else f"{name} (in {share:.0%} of the space)"


def _slices(view: RunView, found: Importance, model: JointModel) -> list[Chart]:
    by_name = {one.name: one for one in view.parameters}
    return [_slice(view, by_name[one.name], model) for one in found.parameters[:MOST_SLICES]]


def _plain_slices(view: RunView) -> list[Chart]:
    return (
        [_slice(view, one, None) for one in view.parameters[:MOST_SLICES]]
        if len(view.rung_results.values)
        else []
    )


def _slice(view: RunView, parameter: Parameter, model: JointModel | None) -> Chart:
    """The values of one parameter at one epoch, the highest rung with enough results, and the model's mean curve."""
    results, epoch = view.rung_results, slice_epoch(view)
    rows = [
        i for i in np.flatnonzero(results.epochs == epoch).tolist() if parameter.name in results.configs[i]
    ]
    rows = [rows[i] for i in evenly(len(rows), MOST_POINTS)]
    x = [_position(parameter, results.configs[i][parameter.name]) for i in rows]
    board_rows = {int(name[1:]): row for name, row in view.numbers.items()}
    trials = [board_rows.get(int(results.trials[i]), -1) for i in rows]
    series = [Series("trial", "points", x, results.values[rows], trials=trials)]
    told = "no curve: the model cannot tell"
    if model is not None:
        units = _centres(parameter)
        curve = _mean_curve(view, model, parameter, units, epoch)
        positions = [_position(parameter, parameter.value(unit)) for unit in units]
        series.append(Series("the model's mean", "line", positions, curve, color="second"))
        told = "the curve is the model's mean over all other parameters"
    selected = ", which only trials that passed the rungs reached" if epoch > view.rung_epochs[0] else ""
    note = f"Values at epoch {epoch}{selected}; {told}."
    x_axis = Axis(parameter.name, parameter.log, tuple(map(str, parameter.choices)), parameter.integer)
    label = Axis(f"{view.metric} at epoch {epoch}")
    return Chart(f"slice-{parameter.name}", parameter.name, note, x_axis, label, tuple(series), height=200)


def slice_epoch(view: RunView) -> int:
    """The highest rung with enough results to compare parameters at, else the lowest."""
    results = view.rung_results
    counts = {epoch: int((results.epochs == epoch).sum()) for epoch in view.rung_epochs}
    enough = [epoch for epoch, count in counts.items() if count >= ENOUGH_AT_EPOCH]
    return max(enough, default=view.rung_epochs[0])


def _contour(view: RunView, found: Importance, model: JointModel) -> list[Chart]:
    """The model's mean at the last epoch over the two most important parameters that always exist."""
    by_name = {one.name: one for one in view.parameters}
    always = [by_name[one.name] for one in found.parameters if one.active_share > 0.999][:2]
    if len(always) < 2:
        return []
    first, second = always
    epoch, rows = view.job.max_epochs, _background(view)[: BACKGROUND // 2]
    xs, ys = _centres(first), _centres(second)
    cells = [(x, y) for y in ys for x in xs]
    means = _means(model, rows, [{first: x, second: y} for x, y in cells], epoch)
    x = [_position(first, first.value(a)) for a, _ in cells]
    y = [_position(second, second.value(b)) for _, b in cells]
    heat = Series(view.metric, "heat", x, y, means)
    trials = _trials_at(view, first, second)
    note = f"The model's mean {view.metric} at epoch {epoch} over all other parameters; dots are trials."
    axes = [Axis(one.name, one.log, tuple(map(str, one.choices)), one.integer) for one in always]
    title = f"{first.name} and {second.name}"
    return [Chart("contour", title, note, axes[0], axes[1], (heat, trials), height=320)]


def _trials_at(view: RunView, first: Parameter, second: Parameter) -> Series:
    results = view.rung_results
    board_rows = {int(name[1:]): row for name, row in view.numbers.items()}
    at: dict[int, Any] = {}
    for number, config in zip(results.trials.tolist(), results.configs, strict=True):
        if first.name in config and second.name in config and number in board_rows:
            at[board_rows[number]] = (
                _position(first, config[first.name]),
                _position(second, config[second.name]),
            )
    rows = sorted(at)
    kept = [rows[i] for i in evenly(len(rows), MOST_POINTS)]
    return Series(
        "trial", "points", [at[i][0] for i in kept], [at[i][1] for i in kept], trials=kept, color="ink"
    )


def _mean_curve(
    view: RunView, model: JointModel, parameter: Parameter, units: list[float], epoch: int
) -> np.ndarray:
    having = [row for row in _background(view) if parameter.name in row]
    return _means(model, having, [{parameter: unit} for unit in units], epoch)


def _means(
    model: JointModel,
    rows: Sequence[Mapping[str, Any]],
    changes: Sequence[Mapping[Parameter, float]],
    epoch: int,
) -> np.ndarray:
    """The mean prediction over the configurations for each change of parameters to quantiles, shape (changes,)."""
    if not rows:
        return np.full(len(changes), np.nan)
    background = features_of(model.parameters, rows, np.full(len(rows), epoch))
    features = np.tile(background, (len(changes), 1))
    for i, change in enumerate(changes):
        for parameter, quantile in change.items():
            unit = parameter.unit(parameter.value(quantile))
            features[i * len(rows) : (i + 1) * len(rows), model.parameters.index(parameter)] = unit
    return np.asarray(model.predict_units(features).reshape(len(changes), len(rows)).mean(axis=1))


def _background(view: RunView) -> list[dict[str, Any]]:
    """Configurations that stand for all others: those of trials, spread over the search."""
    rows = {int(number): i for i, number in enumerate(view.rung_results.trials)}
    chosen = list(rows.values())
    return [dict(view.rung_results.configs[chosen[i]]) for i in evenly(len(chosen), BACKGROUND)]


def _centres(parameter: Parameter) -> list[float]:
    count = len(parameter.choices) or GRID
    return [(i + 0.5) / count for i in range(count)]


def _position(parameter: Parameter, value: Any) -> float:
    """Where a value stands on its axis: a number at itself, a choice at its index."""
    if not parameter.choices:
        return float(value)
    matching = [i for i, one in enumerate(parameter.choices) if one == value and type(one) is type(value)]
    return float(matching[0]) if matching else float("nan")
