"""A trial trains epoch by epoch, goes on from its checkpoint wherever it begins, and tells of its failures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.checkpoint import CheckpointStore
from trainables.report import Outcome
from trainables.trial_run import TrialRun, TrialStart


class Counting:
    """A trainer whose value is the sum of what it trained; fails where its configuration says so."""

    parameter_count = 1

    def reset(self, config: Any, seed: int) -> None:
        self.config, self.total, self.trained = dict(config), float(seed), []

    def train_epoch(self, epoch: int) -> dict[str, float]:
        if epoch == self.config.get("raises_at"):
            raise self.config["error"]
        self.trained.append(epoch)
        self.total += self.config["gain"] * epoch
        value = math.nan if epoch == self.config.get("nan_at") else self.total
        return {"val_accuracy": value}

    def state(self) -> dict[str, np.ndarray]:
        return {"total": np.array(self.total)}

    def load_state(self, state: Any) -> None:
        self.total = float(state["total"])


def run_at(root: Path, trainer: Counting | None = None, **settings: Any) -> TrialRun:
    settings = {"max_epochs": 9, "checkpoint_epochs": frozenset({1, 3, 9}), **settings}
    trainer = trainer or Counting()
    return TrialRun(
        lambda config: trainer,
        CheckpointStore(str(root)),
        checkpoint_secs=1e9,
        data_fingerprint="f",
        **settings,
    )


def start(number: int = 0, **config: Any) -> TrialStart:
    return TrialStart(f"t{number:05d}", number, seed=number, config={"gain": 1.0, **config})


def epochs(run: TrialRun, count: int) -> list[tuple[int, float]]:
    reports = [run.step().report for _ in range(count)]
    return [(report.epoch, report.metrics["val_accuracy"]) for report in reports if report]


def test_epochs_count_from_one_and_seconds_add_up(tmp_path: Path) -> None:
    run = run_at(tmp_path)
    run.begin(start())
    reports = [run.step().report for _ in range(3)]
    assert [report.epoch for report in reports if report] == [1, 2, 3]
    assert reports[2].elapsed_secs == pytest.approx(sum(report.epoch_secs for report in reports))


@pytest.mark.parametrize("epochs_before_the_kill", range(1, 10))
def test_a_new_process_repeats_the_checkpoint_and_goes_on_alike(
    tmp_path: Path, epochs_before_the_kill: int
) -> None:
    unbroken = run_at(tmp_path / "unbroken")
    unbroken.begin(start())
    expected = epochs(unbroken, 9)
    first = run_at(tmp_path / "broken")
    first.begin(start())
    epochs(first, epochs_before_the_kill)
    first.end()
    trainer = Counting()
    second = run_at(tmp_path / "broken", trainer)
    second.begin(start())
    saved = max(rung for rung in (1, 3, 9) if rung <= epochs_before_the_kill)
    result = second.step()
    assert [report.epoch for report in (*result.history, result.report)] == list(range(1, saved + 1))
    assert trainer.trained == [], "the newest report is repeated before another epoch is trained"
    assert epochs(second, 9 - saved) == expected[saved:]


def test_a_trial_does_not_take_the_state_of_another_configuration(tmp_path: Path) -> None:
    first = run_at(tmp_path)
    first.begin(start(gain=2.0))
    epochs(first, 3)
    first.end()
    second = run_at(tmp_path)
    second.begin(start(gain=1.0))
    assert epochs(second, 1) == [(1, 1.0)]


@pytest.mark.parametrize(
    ("error", "outcome"), [(ValueError("bad layer"), Outcome.FAILED), (MemoryError("no room"), Outcome.OOM)]
)
def test_an_error_ends_the_trial_and_not_the_worker(
    tmp_path: Path, error: Exception, outcome: Outcome
) -> None:
    run = run_at(tmp_path)
    run.begin(start(raises_at=2, error=error))
    assert epochs(run, 1) == [(1, 1.0)]
    result = run.step()
    assert (result.report, result.failure) == (None, outcome)
    assert str(error) in result.error
    run.begin(start(1))
    assert epochs(run, 1) == [(1, 2.0)]


def test_an_error_while_building_is_told_by_the_first_step(tmp_path: Path) -> None:
    def no_model(config: Any) -> Counting:
        raise ValueError("filters must be positive")

    run = TrialRun(
        no_model,
        CheckpointStore(str(tmp_path)),
        max_epochs=3,
        checkpoint_epochs=frozenset(),
        checkpoint_secs=1,
        data_fingerprint="",
    )
    run.begin(start())
    assert "filters must be positive" in run.step().error


def test_a_state_after_a_nan_is_not_saved(tmp_path: Path) -> None:
    run = run_at(tmp_path)
    run.begin(start(nan_at=3))
    epochs(run, 3)
    run.end()
    second = run_at(tmp_path)
    second.begin(start(nan_at=3))
    report = second.step().report
    assert report is not None and report.epoch == 1


def test_states_are_saved_between_rungs_after_the_given_seconds(tmp_path: Path) -> None:
    run = TrialRun(
        lambda config: Counting(),
        CheckpointStore(str(tmp_path)),
        max_epochs=9,
        checkpoint_epochs=frozenset(),
        checkpoint_secs=0.0,
        data_fingerprint="f",
    )
    run.begin(start())
    epochs(run, 2)
    run.end()
    saved = CheckpointStore(str(tmp_path)).load("t00000", run.identity)
    assert saved is not None and saved.epoch == 2
