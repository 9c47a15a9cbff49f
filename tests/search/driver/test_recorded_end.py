"""How a search ended is in its folder: finished, interrupted or failed; nothing while it runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from toprung.results.tables.run_lock import RunLock
from toprung.results.tracking.search_end import SearchEnd
from toprung.search.driver.recorded_end import recorded_end

TRIALS = pd.DataFrame({"outcome": ["COMPLETED"], "reason": [""], "best_val_accuracy": [0.5]})


def run_at(folder: Path, lock: Any = None) -> Any:
    search = SimpleNamespace(metric="val_accuracy")
    lock = lock or SimpleNamespace(check=lambda: None)
    return SimpleNamespace(
        folder=SimpleNamespace(root=str(folder), path=lambda name: name), trials=lambda: TRIALS,
        writer=SimpleNamespace(flush=lambda: None, lock=lock), job=SimpleNamespace(search=search),
    )  # fmt: skip


def loop_that(
    finished: bool = False, stop: str | None = None, abort: str | None = None, used_up: str | None = None
) -> Any:
    return SimpleNamespace(finished=finished, stop_reason=stop, abort_reason=abort, used_up_reason=used_up)


@pytest.mark.parametrize(
    ("loop", "status", "reason"),
    [
        (loop_that(), "FINISHED", ""),
        (loop_that(stop="target of 0.95 was reached"), "FINISHED", "target of 0.95 was reached"),
        (loop_that(used_up="space is used up"), "FINISHED", "space is used up"),
        (loop_that(abort="the first 5 trials all failed"), "FAILED", "the first 5 trials all failed"),
    ],
)
def test_a_search_that_ends_says_how(tmp_path: Path, loop: Any, status: str, reason: str) -> None:
    SearchEnd.now("KILLED").write(tmp_path)
    with recorded_end(run_at(tmp_path), loop):
        assert SearchEnd.read(tmp_path) is None, "a driver that is killed leaves no end"
    end = SearchEnd.read(tmp_path)
    assert end is not None
    assert end.status == status
    assert end.reason.startswith(reason)


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "KILLED"), (RuntimeError("no head"), "FAILED")]
)
def test_a_search_that_breaks_off_says_how(tmp_path: Path, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), recorded_end(run_at(tmp_path), loop_that()):
        raise error
    end = SearchEnd.read(tmp_path)
    assert end is not None
    assert (end.status, end.reason) == (status, str(error) or "interrupted")


def test_a_run_folder_that_was_moved_is_not_made_anew_for_its_end(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    error = RuntimeError("the run folder was moved")
    with (
        RunLock(folder) as lock,
        pytest.raises(RuntimeError),
        recorded_end(run_at(folder, lock), loop_that()),
    ):
        folder.rename(tmp_path / "moved")
        raise error
    assert not folder.exists()


def test_a_finished_search_with_nothing_left_to_do_keeps_its_end(tmp_path: Path) -> None:
    end = SearchEnd.now("FINISHED")
    end.write(tmp_path)
    with recorded_end(run_at(tmp_path), loop_that(finished=True)):
        pass
    assert SearchEnd.read(tmp_path) == end
