"""What `toprung check` says of a job before anything is spent on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.check import describe_job, expected_epochs
from search.jobfile import load_job


def test_expected_epochs_of_a_ladder_by_hand() -> None:
    # 27 trials for one epoch, 9 for two more, 3 for six more, 1 for eighteen more.
    assert expected_epochs(27, (1, 3, 9, 27), 3) == 27 + 9 * 2 + 3 * 6 + 18


@pytest.mark.parametrize("counts,told", [((60, 20), True), ((40, 40), False)])
def test_classes_of_very_different_sizes_are_pointed_out(
    job_file, tmp_path: Path, counts: tuple[int, int], told: bool
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (sum(counts), 8, 8, 1), dtype=np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.repeat([0, 1], counts))
    job = load_job(job_file(data={"source": "npz", "path": str(tmp_path / "set.npz")}))
    said = [line for line in describe_job(job) if "largest class" in line]
    assert len(said) == told
    assert all("42 training images and the smallest 14" in line for line in said)


def test_the_advice_on_uneven_classes_can_be_followed(job_file) -> None:
    overrides = ["space.fixed.class_balance=1", "search.metric=val_balanced_accuracy"]
    assert any("the job is valid" in line for line in describe_job(load_job(job_file(), overrides)))
