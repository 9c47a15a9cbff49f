"""Whether a trial can go on from a saved state: it speaks of one course of the training, and its values are finite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from toprung.spaces.errors import first_line
from toprung.trainables.trial.execution import ExecutionPlan
from toprung.trainables.trial.report import EpochReport
from toprung.trainables.worker.checkpoints import UnusableStateError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from toprung.trainables.worker.checkpoints import Checkpoint

STEP = "step"  # the array of a state that counts the steps
EXECUTION_PLAN = "execution_plan"  # the array that says how the trial is computed


def checked_history(checkpoint: Checkpoint, max_epochs: int) -> list[EpochReport]:
    """The reports of the epochs up to a state from which a trial can go on.

    Args:
        checkpoint: The state.
        max_epochs: The last epoch of the trial.

    Raises:
        UnusableStateError: The state contradicts itself, or lies behind the end.
    """
    epoch = checkpoint.epoch
    if not _is_count(epoch) or not 1 <= epoch <= max_epochs:
        raise UnusableStateError(f"is of epoch {epoch!r}, and the training has {max_epochs}")
    reports = [_report(row) for row in checkpoint.history]
    if [report.epoch for report in reports] != list(range(1, epoch + 1)):
        raise UnusableStateError(f"is of epoch {epoch}, and has not the reports of epochs 1 to {epoch}")
    if any(report.trial_id != checkpoint.trial_id for report in reports):
        raise UnusableStateError("has the reports of another trial")
    best = checkpoint.best_epoch
    if best is not None and not (_is_count(best) and 1 <= best <= epoch):
        raise UnusableStateError(f"names {best!r} as its best epoch")
    step = checkpoint.arrays.get(STEP)
    if step is not None and not (step.dtype.kind in "iu" and step.shape == () and step >= 0):
        raise UnusableStateError("counts its steps wrongly")
    return reports


def check_arrays(saved: Mapping[str, np.ndarray], fresh: Mapping[str, np.ndarray]) -> None:
    """Check the values of a state against those of the same model before its first step.

    A value that is not finite is one that training never leaves in a state, unless the model begins with it: a mask
    of a user's layer may hold -inf.

    Args:
        saved: The arrays of the state.
        fresh: Those of the model as it was built.

    Raises:
        UnusableStateError: An array is of another type than the model's, or holds NaN or an infinite value.
    """
    for name, array in saved.items():
        own = fresh.get(name)
        if own is not None and array.dtype != own.dtype:
            raise UnusableStateError(f"holds {array.dtype} in {name}, of which the model's is {own.dtype}")
        if array.dtype.kind not in "fc":
            continue
        broken = ~np.isfinite(array)
        if own is not None and own.shape == array.shape:
            broken &= np.isfinite(own)
        if broken.any():
            raise UnusableStateError(f"holds {array[broken].flat[0]} in {name}")


def plan_of(checkpoint: Checkpoint) -> ExecutionPlan | None:
    """How the trial was computed up to the checkpoint; None if it does not state that."""
    try:
        return ExecutionPlan.from_json(str(checkpoint.arrays[EXECUTION_PLAN]))
    except (KeyError, ValueError, TypeError):
        return None


def why_unusable(error: Exception) -> str:
    """What a state that cannot be used does, in words."""
    if isinstance(error, KeyError):
        return f"lacks the array {error.args[0]}"
    return str(error) if isinstance(error, UnusableStateError) else f"does not fit ({first_line(error)})"


def _report(row: Any) -> EpochReport:
    try:
        report = EpochReport(**row)
        numbers = [report.epoch_secs, report.elapsed_secs, *report.metrics.values()]
        is_sound = _is_count(report.epoch) and _are_finite(numbers) and min(numbers[:2]) >= 0
    except (TypeError, AttributeError) as error:
        raise UnusableStateError("has a report that is none") from error
    if not is_sound:
        raise UnusableStateError("has a report with values that cannot be")
    return report


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_finite(values: Sequence[float]) -> bool:
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)
