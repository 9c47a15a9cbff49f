"""A lead that few images cannot show is told as such."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toprung.results.analysis.confirmation import ConfirmedMean
from toprung.results.analysis.image_noise import doubt_of_lead, image_noise
from toprung.results.analysis.winner import Winner
from toprung.trainables.trial.report import Outcome


def winner(score: float, other: float | None, metric: str = "val_accuracy", **fields: Any) -> Winner:
    told: Any = (
        "t00001",
        {},
        7,
        metric,
        score,
        3,
        9,
        3,
        Outcome.COMPLETED,
        "best",
        other and "t00002",
        other,
    )
    return Winner(*told, **fields)


def test_the_noise_is_that_of_a_share_and_covers_as_often_as_one_standard_error_should() -> None:
    rng, images, truth = np.random.default_rng(0), 120, 0.783
    shares = rng.binomial(images, truth, 4000) / images
    errors = [image_noise("val_accuracy", share, images) for share in shares.tolist()]
    assert all(errors)
    held = [
        abs(share - truth) <= each.standard_error for share, each in zip(shares, errors, strict=True) if each
    ]
    assert 0.65 < np.mean(held) < 0.76, "68% of a normal value, in steps of a whole image"
    perfect = image_noise("val_accuracy", 1.0, 20)
    assert perfect is not None and perfect.standard_error > 0.0, "20 of 20 is not certainty"


def test_a_lead_below_one_standard_error_is_told_with_what_would_tell() -> None:
    assert doubt_of_lead(winner(0.783, 0.766), 120) == (
        "t00001 is 0.0170 ahead of t00002, within the noise of 120 validation images (+-0.0376, one standard error): "
        "--set retrain.confirm=3 compares the best over new seeds, --set data.folds=5 over other validation images too"
    )
    level = doubt_of_lead(winner(0.783, 0.783), 120)
    assert level is not None and level.startswith("t00001 is level with t00002, within the noise"), (
        "no lead at all"
    )


@pytest.mark.parametrize(
    ("found", "images"),
    [
        (winner(0.783, 0.700), 120),
        (winner(0.783, 0.766), 12_000),
        (winner(0.783, None), 120),
        (winner(0.783, 0.766, "val_loss"), 120),
        (winner(0.783, 0.766, "val_auc"), 120),
        (winner(0.700, 0.766), 120),
        (winner(0.783, 0.766), 0),
        (winner(0.783, 0.766, confirmed=(ConfirmedMean("t00001", 0.783, 0.7, 0.8, 0.05, 3, 3),)), 120),
    ],
    ids=[
        "clear",
        "many images",
        "alone",
        "a loss",
        "an area",
        "chosen by name",
        "images unknown",
        "confirmed",
    ],
)
def test_nothing_is_said_of_a_lead_that_is_more_or_whose_noise_is_not_known(
    found: Winner, images: int
) -> None:
    assert doubt_of_lead(found, images) is None
