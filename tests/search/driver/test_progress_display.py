"""What a person sees of a running search: lines in a log, or a panel."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import pytest

from toprung.search.driver import progress_display
from toprung.search.driver.progress import ProgressSnapshot
from toprung.search.driver.progress_display import LineSchedule, ProgressDisplay, can_draw_panel, panel_of
from toprung.search.driver.trial_state import Leader

NOW = ProgressSnapshot(
    running=2,
    completed=1,
    stopped=3,
    failed=0,
    trials=40,
    epochs=60,
    epochs_per_sec=2.0,
    best=Leader("t00003", 2, 0.75),
    elapsed_secs=900.0,
    remaining_secs=2700.0,
)


class FakeProgress:
    """A search that stands still, and has found out one thing."""

    def __init__(self) -> None:
        self.notes = ["first rung raised"]

    def snapshot(self) -> ProgressSnapshot:
        return NOW

    def new_notes(self) -> list[str]:
        notes, self.notes = self.notes, []
        return notes


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_lines_of_a_log_come_ever_less_often() -> None:
    schedule = LineSchedule()
    due = [secs for secs in range(5, 8 * 3600, 5) if schedule.is_due(float(secs))]
    assert due[:4] == [5, 10, 15, 20]
    assert 500 < len(due) < 800, "of eight hours, at most one a minute in the end"


def test_lines_and_notes_are_logged_under_names_of_their_own(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress_display, "LOOK_EVERY_SECS", 0.01)
    caplog.set_level(logging.INFO, "toprung")
    progress: Any = FakeProgress()
    with ProgressDisplay(progress, "val_accuracy", live=False):
        wait_for(lambda: len(caplog.records) >= 2)
    logged = [(record.name, record.getMessage()) for record in caplog.records[:2]]
    assert logged == [("toprung", "first rung raised"), ("toprung.progress", NOW.line())]


def test_a_panel_shows_the_same_and_leaves_notes_to_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress_display, "PANEL_EVERY_SECS", 0.01)
    caplog.set_level(logging.INFO, "toprung")
    progress: Any = FakeProgress()
    with ProgressDisplay(progress, "val_accuracy", live=True):
        wait_for(lambda: caplog.records)
    assert [record.getMessage() for record in caplog.records] == ["first rung raised"]


def test_a_panel_names_the_best_trial_and_the_time_left() -> None:
    from rich.console import Console

    console = Console(width=100)
    with console.capture() as captured:
        console.print(panel_of(NOW, "val_accuracy"))
    text = captured.get()
    assert "best val_accuracy" in text and "0.7500  (t00003, epoch 2)" in text
    assert "4 of 40 ended: 1 completed, 3 stopped, 0 failed; 2 running" in text
    assert "15 min 0 s, about 45 min 0 s left" in text


@pytest.mark.parametrize(
    ("is_terminal", "is_jupyter", "has_widgets", "expected"),
    [
        (False, False, True, False),
        (True, False, False, True),
        (False, True, True, True),
        (False, True, False, False),
    ],
)
def test_a_panel_is_drawn_on_a_terminal_and_in_a_notebook_that_has_widgets(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, is_jupyter: bool, has_widgets: bool, expected: bool
) -> None:
    from rich import console

    kept = console.Console
    monkeypatch.setattr(console, "Console", lambda: kept(force_jupyter=is_jupyter))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if has_widgets else None)
    assert can_draw_panel() is expected
