"""A trial's states on storage: the best beside the newest, whatever was damaged or could not be written."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from saved_states import best_state

from toprung.trainables.system.storage import Storage
from toprung.trainables.trial.messages import TrialStart
from toprung.trainables.trial.objectives import Objective, Objectives
from toprung.trainables.trial.report import Outcome
from toprung.trainables.worker.checkpoints import CheckpointStore
from toprung.trainables.worker.trial_runner import TrialRunner

EVERY_EPOCH = {"checkpoint_epochs": frozenset(), "checkpoint_secs": 0.0}
# Epoch 4 is the best but is never saved; of the others it is epoch 8.
TWO_PEAKS = {4: 0.9, 6: 0.5, 8: 0.7}


@pytest.fixture
def new_start(new_start: Callable) -> Callable[..., TrialStart]:
    """The start of a trial whose best epoch is its peak, or that has the given curve."""

    def start(peak: int = 1, number: int = 0, curve: dict[int, float] | None = None) -> TrialStart:
        falling = {epoch: 1.0 / (1 + abs(epoch - peak)) for epoch in range(1, 10)}
        return new_start(number, curve=curve or falling)

    return start


def step_epochs(run: TrialRunner, count: int) -> list[int]:
    reports = [run.step().report for _ in range(count)]
    return [report.epoch for report in reports if report]


@pytest.mark.parametrize(
    ("peak", "mode", "best"), [(3, "max", 3), (9, "max", 9), (1, "max", 1), (3, "min", 9)]
)
def test_the_best_saved_epoch_can_be_loaded_beside_the_newest(
    tmp_path: Path, peak: int, mode: Any, best: int, new_run: Callable, new_start: Callable
) -> None:
    objectives = Objectives((Objective("val_accuracy", mode),))
    run = new_run(tmp_path, objectives=objectives)
    run.begin(new_start(peak))
    step_epochs(run, 5)
    run.end()
    second = new_run(tmp_path, objectives=objectives)
    second.begin(new_start(peak))
    step_epochs(second, 7)
    second.end()
    store = CheckpointStore(str(tmp_path))
    newest, found = store.load("t00000", second.identity), best_state(store, "t00000", second.identity)
    assert newest is not None and newest.epoch == 9
    assert found is not None and found.epoch == best


def test_an_epoch_that_was_not_saved_does_not_hide_the_best_saved_one(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    rules = {"checkpoint_epochs": frozenset({6, 8, 9})}

    def best_of(root: Path, broken_after: int | None) -> int:
        run = new_run(root, **rules)
        run.begin(new_start(curve=TWO_PEAKS))
        if broken_after:
            step_epochs(run, broken_after)
            run.end()
            run = new_run(root, **rules)
            run.begin(new_start(curve=TWO_PEAKS))
        while run.step().report.epoch < 9:
            pass
        run.end()
        found = best_state(CheckpointStore(str(root)), "t00000", run.identity)
        assert found is not None
        return found.epoch

    assert best_of(tmp_path / "unbroken", None) == 8
    for epoch in (6, 7, 8):
        assert best_of(tmp_path / str(epoch), epoch) == 8


@pytest.mark.parametrize("history", [(), ({"epoch": 1},), ({"trial_id": "t00000", "epoch": 1, "loss": 2.0},)])
def test_a_checkpoint_without_its_epochs_is_no_state(
    tmp_path: Path, new_run: Callable, new_start: Callable, history: tuple[dict[str, object], ...]
) -> None:
    run = new_run(tmp_path)
    run.begin(new_start())
    step_epochs(run, 1)
    run.end()
    store = CheckpointStore(str(tmp_path))
    saved = store.load("t00000", run.identity)
    assert saved is not None
    store.save(replace(saved, history=history))
    store.wait()
    second = new_run(tmp_path)
    second.begin(new_start())
    assert step_epochs(second, 2) == [1, 2]


@pytest.fixture
def before_put(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], None]:
    """Have a function called before each state is put on storage, with the number of the put from 1."""

    def call_first(hook: Callable[[int], None]) -> None:
        numbers, put = itertools.count(1), Storage.put

        def hooked(storage: Storage, *arguments: Any) -> None:
            hook(next(numbers))
            put(storage, *arguments)

        monkeypatch.setattr(Storage, "put", hooked)

    return call_first


@pytest.fixture
def refuse_puts(before_put: Callable) -> Callable[..., None]:
    """A storage that refuses the states of these numbers, from 1."""

    def refuse(*refused: int) -> None:
        def hook(number: int) -> None:
            if number in refused:
                raise OSError("AWS Error SLOW_DOWN during PutObject")

        before_put(hook)

    return refuse


def test_a_write_that_failed_does_not_fail_its_trial(
    tmp_path: Path,
    new_run: Callable,
    new_start: Callable,
    refuse_puts: Callable,
) -> None:
    refuse_puts(2, 3)
    run = new_run(tmp_path, max_epochs=4, **EVERY_EPOCH)
    run.begin(new_start())
    results = [run.step() for _ in range(4)]
    run.end()
    assert [result.report.epoch for result in results] == [1, 2, 3, 4]
    (note,) = [note for result in results for note in result.notes]
    assert note.startswith("the last state of t00000 was not saved (OSError: AWS Error SLOW_DOWN")
    saved = CheckpointStore(str(tmp_path)).load("t00000", run.identity)
    assert saved is not None and saved.epoch == 4


def test_a_trial_that_pauses_without_its_state_goes_on_from_the_one_before(
    tmp_path: Path, new_run: Callable, new_start: Callable, refuse_puts: Callable
) -> None:
    refuse_puts(2)
    rules = {"checkpoint_epochs": frozenset({1, 2}), "durable_rungs": True}
    run = new_run(tmp_path, max_epochs=4, **rules)
    run.begin(new_start())
    run.step()
    paused = run.step()
    assert paused.failure is None and paused.report.epoch == 2
    assert "was not saved (OSError: AWS Error SLOW_DOWN" in paused.notes[0], "told before the trial pauses"
    run.begin(new_start())
    assert step_epochs(run, 4) == [1, 2, 3, 4]


@pytest.mark.parametrize(("peak", "refused", "best"), [(2, 2, 1), (3, 4, 3), (1, 2, 1)])
def test_the_best_state_is_the_best_of_those_that_were_written(
    tmp_path: Path,
    new_run: Callable,
    new_start: Callable,
    refuse_puts: Callable,
    peak: int,
    refused: int,
    best: int,
) -> None:
    refuse_puts(refused)
    run = new_run(tmp_path, max_epochs=5, **EVERY_EPOCH)
    run.begin(new_start(peak))
    step_epochs(run, 5)
    run.end()
    found = best_state(CheckpointStore(str(tmp_path)), "t00000", run.identity)
    assert found is not None and found.epoch == best


@pytest.mark.parametrize("last", [3, 5])
def test_a_damaged_newest_state_does_not_take_the_place_of_the_best(
    tmp_path: Path, new_run: Callable, new_start: Callable, last: int
) -> None:
    first = new_run(tmp_path, checkpoint_secs=0.0)
    first.begin(new_start(2))
    step_epochs(first, 3)
    first.end()
    (tmp_path / "t00000.npz").write_bytes(b"PK half")
    second = new_run(tmp_path, checkpoint_secs=0.0)
    second.begin(new_start(2))
    assert step_epochs(second, last - 1) == list(range(2, last + 1))
    second.end()
    store = CheckpointStore(str(tmp_path))
    newest, best = store.load("t00000", second.identity), best_state(store, "t00000", second.identity)
    assert newest is not None and newest.epoch == last
    assert best is not None and best.epoch == 2


def test_a_trial_trains_while_the_state_of_the_last_one_is_written_and_is_reported_after_that(
    tmp_path: Path, new_run: Callable, new_start: Callable, before_put: Callable, trainer_type: type
) -> None:
    trainer, may_write = trainer_type(), threading.Event()

    def wait(number: int) -> None:
        assert may_write.wait(30)

    before_put(wait)
    run = new_run(tmp_path, trainer, max_epochs=2, checkpoint_epochs=frozenset({1}))
    run.begin(new_start())
    run.step()
    run.begin(new_start(number=1))  # would wait for ever if it waited for the state
    assert not list(tmp_path.iterdir())

    def fail(epoch: int) -> None:
        may_write.set()
        raise RuntimeError("and saves nothing that the first state would have to wait for")

    trainer.before_epoch = fail
    assert run.step().failure is Outcome.FAILED
    assert [path.name for path in tmp_path.iterdir()] == ["t00000.npz"], "written before this is reported"


def test_a_failed_write_of_the_last_trial_takes_nothing_from_the_next_ones_best(
    tmp_path: Path, new_run: Callable, new_start: Callable, refuse_puts: Callable
) -> None:
    refuse_puts(3)
    run = new_run(tmp_path, max_epochs=3, **EVERY_EPOCH)
    run.begin(new_start(peak=2))
    step_epochs(run, 3)
    run.begin(new_start(peak=0, number=1))
    step_epochs(run, 3)
    run.end()
    store = CheckpointStore(str(tmp_path))
    best = best_state(store, "t00001", run.identity)
    assert best is not None and best.epoch == 1
