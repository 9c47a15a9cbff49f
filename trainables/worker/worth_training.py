"""Whether a trial is trained at all, decided once its model is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toprung.trainables.trial.messages import TrialStart
    from toprung.trainables.worker.interfaces import TrialTrainer
    from toprung.trainables.worker.plan import Rules


def why_not_trained(
    trainer: TrialTrainer, start: TrialStart, rules: Rules, measures: Mapping[str, float]
) -> str:
    """Why a new trial is not trained: its model breaks a bound, or its epochs are too slow for the budget.

    Args:
        trainer: Right after its reset; its epochs are timed only where they are limited.
        start: The trial.
        rules: Those of the search.
        measures: What was measured of the model.

    Returns:
        The reason, for its row; empty for a trial that is trained.
    """
    broken = rules.objectives.bounds.broken_in_words(measures) if rules.enforces_bounds else ""
    if broken or start.epoch_limit is None:
        return broken
    return start.epoch_limit.why_too_slow(trainer.epoch_secs(), rules.max_epochs) or ""
