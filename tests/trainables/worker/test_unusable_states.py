"""A saved state that cannot be read or does not fit costs time and never the trial, which goes back further."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_fuzzer import outcomes

from toprung.trainables.system.storage import Storage
from toprung.trainables.worker.checkpoints import BEST, CheckpointStore, UnusableStateError
from toprung.trainables.worker.saved_state import check_arrays


@pytest.fixture
def saved(tmp_path: Path, new_run: Callable, new_start: Callable) -> Callable[..., None]:
    """Replaces the newest state of a trial of three epochs by one that was changed."""

    def change(**changes: Any) -> None:
        run = new_run(tmp_path, checkpoint_secs=0.0)
        run.begin(new_start(curve={1: 0.9, 2: 0.1, 3: 0.2}))
        for _ in range(3):
            run.step()
        run.end()
        store = CheckpointStore(str(tmp_path))
        found = store.load("t00000", run.identity)
        assert found is not None and found.epoch == 3
        store.save(replace(found, **changes))
        store.wait()

    return change


def report(epoch: int, **values: Any) -> dict[str, Any]:
    whole = {"trial_id": "t00000", "epoch": epoch, "metrics": {"val_accuracy": 0.5}, "epoch_secs": 1.0}
    return {**whole, "elapsed_secs": float(epoch), **values}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epoch": 12, "history": tuple(report(epoch) for epoch in range(1, 13))}, "is of epoch 12, and the training"),
        ({"epoch": -3}, "is of epoch -3"),
        ({"epoch": "3"}, "is of epoch '3'"),
        ({"history": (report(1), report(3))}, "has not the reports of epochs 1 to 3"),
        ({"history": (report(1), report(2), report(3, trial_id="t00009"))}, "has the reports of another trial"),
        ({"history": (report(1), report(2), report(3, metrics={"val_accuracy": math.nan}))}, "values that cannot be"),
        ({"history": (report(1), report(2), report(3, epoch_secs=-1.0))}, "values that cannot be"),
        ({"history": (report(1), report(2), {"other": 1})}, "has a report that is none"),
        ({"best_epoch": 8}, "names 8 as its best epoch"),
        ({"arrays": {"total": np.array(math.nan)}}, "holds nan in total"),
        ({"arrays": {"total": np.array(-math.inf)}}, "holds -inf in total"),
        ({"arrays": {"total": np.array(2.0 + 1j)}}, "holds complex128 in total, of which the model's is float64"),
        ({"arrays": {"total": np.array(2.0, np.float32)}}, "holds float32 in total"),
        ({"arrays": {"total": np.array(2.0), "more": np.array([1.0, math.inf])}}, "holds inf in more"),
        ({"arrays": {"total": np.array(1.0), "step": np.array(-1)}}, "counts its steps wrongly"),
        ({"arrays": {"total": np.ones((2, 2))}}, "does not fit ("),
        ({"arrays": {}}, "lacks the array total"),
        ({"identity": "of other code"}, "is of another configuration, code or set of images"),
    ],
)  # fmt: skip
def test_a_forged_or_unfit_state_is_not_taken_and_the_best_before_it_is(
    tmp_path: Path,
    saved: Callable,
    new_run: Callable,
    new_start: Callable,
    changes: dict[str, Any],
    told: str,
) -> None:
    saved(**changes)
    run = new_run(tmp_path, checkpoint_secs=0.0)
    run.begin(new_start(curve={1: 0.9, 2: 0.1, 3: 0.2}))
    result = run.step()
    assert result.failure is None
    assert result.report.epoch == 1, "the best state, epoch 1, is repeated"
    (note,) = result.notes
    assert note.startswith("its newest saved state is not used: it ")
    assert told in note or ("does not fit" in told and "does not fit" in note)


def test_what_is_not_finite_in_a_model_as_it_is_built_may_be_so_in_its_states() -> None:
    mask = np.array([0.0, -math.inf], np.float32)
    check_arrays({"mask": mask, "execution_plan": np.array("{}")}, {"mask": mask.copy()})
    with pytest.raises(UnusableStateError, match="holds -inf in mask"):
        check_arrays({"mask": mask[::-1]}, {"mask": mask})


def test_without_any_state_that_can_be_used_a_trial_starts_over(
    tmp_path: Path, saved: Callable, new_run: Callable, new_start: Callable, step_values: Callable
) -> None:
    saved(epoch=0)
    (tmp_path / f"t00000{BEST}").write_bytes(b"PK half")
    run = new_run(tmp_path)
    run.begin(new_start(curve={1: 0.9, 2: 0.1, 3: 0.2}))
    assert step_values(run, 3) == [(1, 0.9), (2, 0.1), (3, 0.2)]


def test_a_storage_that_cannot_be_read_is_no_failure(
    tmp_path: Path, saved: Callable, new_run: Callable, new_start: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Storage, "read", refuse)
    run = new_run(tmp_path)
    run.begin(new_start(curve={}))
    result = run.step()
    assert result.failure is None and result.report.epoch == 1
    assert any("cannot be read ([Errno 13] Permission denied)" in note for note in result.notes)


def test_a_state_belongs_to_one_version_of_the_users_code(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    identities = set()
    for code in ("", "one version", "another version"):
        run = new_run(tmp_path, code_fingerprint=code)
        run.begin(new_start())
        identities.add(run.identity)
    assert len(identities) == 3


def said(reason: str) -> str:
    """The reason without the line of the user's code, which here is one of the tests' own."""
    told, line, _ = reason.partition(" (conftest.py line ")
    assert line
    return told


def test_sys_exit_and_an_interrupt_in_a_users_code_end_the_trial_and_not_the_worker(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path)
    run._in_worker = True
    for error, reason in ((SystemExit(3), "SystemExit: 3"), (KeyboardInterrupt(), "KeyboardInterrupt")):
        run.begin(new_start(raises_at=1, error=error))
        result = run.step()
        assert (str(result.failure), said(result.reason)) == ("FAILED", reason)


def test_where_somebody_may_interrupt_a_signal_does_and_a_users_code_does_not(
    tmp_path: Path, new_run: Callable, new_start: Callable, trainer_type: type
) -> None:
    run = new_run(tmp_path)
    run.begin(new_start(raises_at=1, error=KeyboardInterrupt()))
    assert (str((result := run.step()).failure), said(result.reason)) == ("FAILED", "KeyboardInterrupt")
    trainer = trainer_type(before_epoch=lambda _: signal.raise_signal(signal.SIGINT))
    interrupted = new_run(tmp_path / "another", trainer)
    interrupted.begin(new_start())
    with pytest.raises(KeyboardInterrupt):
        interrupted.step()


def test_the_reason_is_the_type_and_the_first_whole_line(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path)
    message = f"\nno layer {'x' * 700}\nsecond line"
    run.begin(new_start(raises_at=1, error=ValueError(message)))
    assert said(run.step().reason) == f"ValueError: no layer {'x' * 700}"


def test_the_clean_training_accuracy_stands_at_the_rungs(
    tmp_path: Path, new_run: Callable, new_start: Callable
) -> None:
    run = new_run(tmp_path)
    run.begin(new_start())
    found = [run.step().report.metrics.get("clean_train_accuracy") for _ in range(4)]
    assert found == [0.5, None, 0.5, None], "epochs 1 and 3 are rungs"


def test_no_change_of_a_state_changes_the_course_of_its_trial(
    tmp_path: Path, new_run: Callable, new_start: Callable, saved: Callable
) -> None:
    """The whole course is the same whether epochs are continued from the state or trained again."""
    saved()
    start = new_start(curve={1: 0.9, 2: 0.1, 3: 0.2, 4: 0.3})

    def resume() -> tuple[object, object]:
        run = new_run(tmp_path, max_epochs=4, checkpoint_secs=1e9, checkpoint_epochs=frozenset())
        run._store.save = lambda *_: None  # what is damaged stays as it is
        run.begin(start)
        course: dict[int, float] = {}
        while max(course, default=0) < 4:
            result = run.step()
            if result.failure:
                return result.failure, course
            reports = [*result.history, *([result.report] if result.report else [])]
            course |= {report.epoch: report.metrics["val_accuracy"] for report in reports}
        return None, course

    found = list(outcomes(tmp_path / "t00000.npz", resume, 120, seed=2))
    assert [one for one in found if one[1] != "same"] == []
