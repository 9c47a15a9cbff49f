"""How far a score on a sample of images may be from its value on all images: intervals of one score and of a change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054
"""The standard normal quantile of a two-sided interval that holds the truth in 95% of the samples."""


@dataclass(frozen=True)
class Interval:
    """A range `low` to `high` that holds the truth in 95% of the samples."""

    low: float
    high: float


@dataclass(frozen=True)
class PairedChange:
    """What one model scores more than another on the same images.

    Attributes:
        change: The mean difference, the second model's score minus the first's.
        standard_error: That of the mean.
        images: Number of images that both have scored.
    """

    change: float
    standard_error: float
    images: int

    @property
    def interval(self) -> Interval:
        """The 95% interval of the change."""
        half = Z95 * self.standard_error
        return Interval(max(-1.0, self.change - half), min(1.0, self.change + half))

    @property
    def is_worse(self) -> bool:
        """Whether the second model is worse by more than a standard error of the change."""
        return self.change < -self.standard_error


def share_interval(successes: float, count: int) -> Interval:
    """The 95% score interval of a share (Wilson 1927), which is right for few images and for shares near 0 and 1.

    Args:
        successes: Number of successes among `count`; 0.5 counts half.
        count: At least 1.
    """
    share, z2 = successes / count, Z95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = Z95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


def paired_change(before: np.ndarray, after: np.ndarray) -> PairedChange:
    """Compare two models image by image; much of what makes images hard is common to both and cancels.

    The standard error counts one more image that changed for the better and one that changed for the worse (Bonett &
    Price 2012): without them two models that differ nowhere on few images would be called equal for certain.

    Args:
        before: The first model's score of each image, in [0, 1], (N,).
        after: The second model's scores of the same images, (N,).
    """
    differences = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    adjusted = np.concatenate([differences, [1.0, -1.0]])
    return PairedChange(
        float(differences.mean()), float(adjusted.std() / math.sqrt(len(adjusted))), len(differences)
    )


def unpaired_change(before: float, before_images: int, after: float, after_images: int) -> PairedChange:
    """Compare two shares that were counted apart; `images` is the smaller number."""
    variance = sum(
        share_error(share, count) ** 2 for share, count in ((before, before_images), (after, after_images))
    )
    return PairedChange(after - before, math.sqrt(variance), min(before_images, after_images))


def share_error(share: float, count: int) -> float:
    """The standard error of a share of `count` images.

    It is binomial, with one success and one failure added as for the paired change: a share of 1 of few images is not
    known exactly.
    """
    adjusted = (share * count + 1) / (count + 2)
    return math.sqrt(adjusted * (1 - adjusted) / (count + 2))
