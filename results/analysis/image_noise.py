"""How far a validation score may be off because it is measured on so few images, where counts tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.results.analysis.winner import lead_over
from toprung.trainables.metrics.intervals import share_error

if TYPE_CHECKING:
    from toprung.results.analysis.winner import Winner

COUNTED = ("val_accuracy",)
"""The metrics that are shares of images; the noise of others does not follow from the number of images."""


@dataclass(frozen=True)
class ImageNoise:
    """One standard error of a score on so many validation images."""

    standard_error: float
    images: int

    def __str__(self) -> str:
        return f"the noise of {self.images:,} validation images (+-{self.standard_error:.4f}, one standard error)"


def image_noise(metric: str, value: float, images: int) -> ImageNoise | None:
    """The noise of a score; None for a metric of which it is not known, and without images."""
    if metric not in COUNTED or images < 1:
        return None
    return ImageNoise(share_error(value, images), images)


def doubt_of_lead(winner: Winner, images: int) -> str | None:
    """A line that says that the winner's lead is no more than noise, and what would tell; None where it is more.

    None also where trainings with new seeds were compared, whose line has its own interval, and for a trial that was
    not chosen by its value.
    """
    if winner.confirmed or winner.runner_up_score is None:
        return None
    lead, noise = winner.score - winner.runner_up_score, image_noise(winner.metric, winner.score, images)
    if noise is None or not 0.0 <= lead < noise.standard_error:
        return None
    return (
        f"{winner.trial_id} is {lead_over(lead, winner.runner_up or '')}, within {noise}: "
        "--set retrain.confirm=3 compares the best over new seeds, --set data.folds=5 over other validation images too"
    )
