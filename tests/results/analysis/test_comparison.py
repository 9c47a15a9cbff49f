"""Runs beside each other: grouped by settings, paired by seed, and "cannot tell" where chance explains all."""

from __future__ import annotations

import math

import pytest

from toprung.results.analysis.comparison import ComparedRun, contrasts, differing, groups_of, mean_interval
from toprung.trainables.trial.objectives import Objective

ACCURACY = Objective("val_accuracy", "max")


def run(name: str, best: float, seed: int = 0, fingerprint: str = "f", **settings: object) -> ComparedRun:
    return ComparedRun(
        name, seed, best, {"name": name, "seed": seed, "storage.path": name, **settings}, fingerprint
    )


def test_runs_that_differ_by_seed_alone_are_one_group_and_the_best_mean_is_first() -> None:
    runs = [run("a", 0.8, 1, x=1), run("b", 0.9, 1, x=2), run("c", 0.82, 2, x=1), run("d", 0.92, 2, x=2)]
    first, second = groups_of(runs, ACCURACY)
    assert (first.names, second.names) == ("b, d", "a, c")
    assert first.mean == pytest.approx(0.91) and first.low < 0.91 < first.high
    assert [group.names for group in groups_of(runs, Objective("val_loss", "min"))] == ["a, c", "b, d"]


def test_a_difference_that_each_seed_shows_is_clear_when_paired_though_seeds_differ_much() -> None:
    bests = {1: 0.5, 2: 0.7, 3: 0.9}
    runs = [run(f"a{seed}", best, seed, x=1) for seed, best in bests.items()]
    runs += [run(f"b{seed}", best - 0.02 - 0.001 * seed, seed, x=2) for seed, best in bests.items()]
    (paired,) = contrasts(groups_of(runs, ACCURACY), ACCURACY)
    assert paired.method == "paired by 3 seeds" and paired.verdict == "the first is better"
    assert paired.behind == pytest.approx(0.022) and 0.0 < paired.low < paired.high
    others = [
        ComparedRun(one.name, one.seed + 10 * (one.name[0] == "b"), one.best, one.settings, "f")
        for one in runs
    ]
    (unpaired,) = contrasts(groups_of(others, ACCURACY), ACCURACY)
    assert (
        unpaired.method == "by means over seeds" and unpaired.verdict == "cannot tell: the interval holds 0"
    )


def test_one_run_each_other_images_and_runs_without_a_value_cannot_be_told_apart() -> None:
    (alone,) = contrasts(groups_of([run("a", 0.9, x=1), run("b", 0.1, x=2)], ACCURACY), ACCURACY)
    assert alone.verdict.startswith("cannot tell: run each of them") and alone.behind == pytest.approx(0.8)
    (images,) = contrasts(groups_of([run("a", 0.9), run("b", 0.1, 0, "g")], ACCURACY), ACCURACY)
    assert images.verdict == "cannot tell: the images differ"
    groups = groups_of([run("a", math.nan, x=1), run("b", 0.1, x=2)], ACCURACY)
    assert groups[0].names == "b" and math.isnan(groups[1].mean)


def test_a_seed_that_was_run_twice_tells_no_more_than_once() -> None:
    (alone,) = groups_of([run("a", 0.8), run("again", 0.8)], ACCURACY)
    assert (alone.seeds, alone.mean, math.isnan(alone.low)) == (1, 0.8, True)
    runs = [run("a", 0.8, 1), run("again", 0.8, 1), run("b", 0.9, 2), run("empty", math.nan, 2)]
    (both,) = groups_of(runs, ACCURACY)
    (once,) = groups_of([runs[0], runs[2]], ACCURACY)
    assert (both.seeds, both.mean, both.low) == (2, once.mean, once.low)


def test_seeds_that_drew_splits_of_their_own_are_told_of_the_seed_that_keeps_them() -> None:
    data = {"data.path": "photos", "data.seed": None}
    (drawn,) = contrasts(
        groups_of([run("a", 0.9, **data), run("b", 0.1, 1, "g", **data)], ACCURACY), ACCURACY
    )
    assert drawn.verdict.endswith("each seed draws splits of its own; the same data.seed keeps them")
    other = {**data, "data.image_size": 32}
    (resized,) = contrasts(
        groups_of([run("a", 0.9, **data), run("b", 0.1, 1, "g", **other)], ACCURACY), ACCURACY
    )
    assert resized.verdict == "cannot tell: the images differ"


def test_what_differs_is_told_without_names() -> None:
    runs = [run("a", 0.9, x=1, y=2), run("b", 0.9, 3, "g" * 20, x=1, y=5)]
    assert differing(runs) == {
        "seed": [0, 3],
        "storage.path": ["a", "b"],
        "y": [2, 5],
        "images (fingerprint)": ["f", "g" * 12],
    }


def test_students_interval_of_a_mean() -> None:
    # t(0.975, 2) = 4.3027; the deviation of 1, 2, 3 is 1: 4.3027 / sqrt(3) = 2.4841.
    assert mean_interval([1.0, 2.0, 3.0, math.nan]) == pytest.approx(
        (2.0, 2.0 - 2.4841, 2.0 + 2.4841), abs=1e-4
    )
    assert mean_interval([2.0])[0] == 2.0 and math.isnan(mean_interval([2.0])[1])
