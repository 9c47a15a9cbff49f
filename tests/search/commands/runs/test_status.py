"""`toprung status`: rungs, cost, failures, the best so far as a curve, and what no longer runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toprung.results.tables.run_lock import RunLock
from toprung.results.tracking.search_end import SearchEnd
from toprung.search.cli import main
from toprung.search.commands.runs.status import BLOCKS, CURVE_CHARS, curve
from toprung.trainables.trial.trial_id import SPACE_USED_UP


def test_a_finished_search_is_told_by_rungs_cost_and_failures(
    made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", made_run().root]) == 0
    told = capsys.readouterr().out
    lines = told.splitlines()
    assert lines[0].startswith("made: 30 of 30 trials ended")
    assert any(line.startswith("best       val_accuracy 0.") and BLOCKS[-1] in line for line in lines)
    assert "rungs      epoch 1: 26 results, " in told and "epoch 9: " in told
    assert "of training: " in told and "by the best trial" in told
    assert "failed     " in told and "2 x FAILED, ValueError: <b> & co" in told
    assert "RUNNING" not in told and "state " not in told


def test_a_run_of_the_transfer_space_tells_what_fine_tuning_gained_over_a_head(
    made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", made_run(space_name="transfer").root]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("head ")]
    assert " of a head on frozen features (t000" in line and ", epoch 1); fine-tuned " in line
    assert main(["status", made_run(name="other").root]) == 0
    assert "head on frozen features" not in capsys.readouterr().out


def test_without_a_search_that_writes_it_no_trial_is_running(
    made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_run(epochs=20)
    assert main(["status", folder.root, "--top", "50"]) == 0
    told = capsys.readouterr().out
    assert "RUNNING" not in told and "INTERRUPTED" in told and "1 not ended" in told
    assert "state      no search writes this run: the same `toprung search` goes on with it" in told
    with RunLock(folder.root):
        assert main(["status", folder.root, "--top", "50"]) == 0
    told = capsys.readouterr().out
    assert "RUNNING" in told and "1 running" in told and "left       about " in told


def test_a_space_that_is_used_up_is_no_search_that_goes_on(
    made_run: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made_run()
    job = folder.job()
    more = job.model_copy(update={"search": job.search.model_copy(update={"trials": 99})})
    folder.claim(more).release()
    SearchEnd.now("FINISHED", f"{SPACE_USED_UP}: its 30 different configurations were tried").write(
        folder.root
    )
    assert main(["status", folder.root]) == 0
    told = capsys.readouterr().out
    assert "state      ended, as the space is used up: its 30 different configurations were tried" in told
    assert "goes on" not in told


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_the_curve_rises_where_the_best_does(values: list[float]) -> None:
    best = np.maximum.accumulate(np.array(values))
    drawn = curve(best, np.arange(1.0, len(values) + 1), better_is_more=True)
    assert len(drawn) in (0, CURVE_CHARS)
    heights = [BLOCKS.index(char) for char in drawn]
    assert heights == sorted(heights)
    falling = curve(-best, np.arange(1.0, len(values) + 1), better_is_more=False)
    assert falling == drawn
