"""A worker trains no epoch past the one at which patience ends the trial, and saves its best state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from saved_states import best_state

from toprung.trainables.worker.checkpoints import CheckpointStore

# The best before three worse epochs is that of epoch 3.
CURVE = {1: 0.1, 2: 0.3, 3: 0.5, 4: 0.4, 5: 0.5, 6: 0.45, 7: 0.9, 8: 0.9, 9: 0.9}


def test_the_best_state_is_saved_and_no_epoch_is_trained_past_the_end(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path, checkpoint_epochs=frozenset({1, 9}), report_secs=1e9)
    run.begin(new_start(curve=CURVE, patience_epochs=3))
    first, last = run.step(), run.step()
    assert first.report is not None and first.report.epoch == 1, first.error
    assert last.report is not None and last.report.epoch == 6
    run.end()
    best = best_state(CheckpointStore(str(tmp_path)), "t00000", run.identity)
    assert best is not None and best.epoch == 3


def test_a_worker_trains_to_the_first_rung_whatever_the_curve_is(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path, checkpoint_epochs=frozenset({9}), report_secs=1e9)
    run.begin(new_start(curve=CURVE, patience_epochs=3))
    last = run.step()
    assert last.report is not None and last.report.epoch == 9
