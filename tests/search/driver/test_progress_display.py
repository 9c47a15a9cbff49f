"""What a person sees of a running search: lines in a log, or a panel."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import replace
from io import StringIO
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from toprung.search.driver import progress_display
from toprung.search.driver.progress import ProgressSnapshot
from toprung.search.driver.progress_display import LineSchedule, ProgressDisplay, panel_of
from toprung.search.loop.trial_state import Leader
from toprung.search.workers.presence import WorkerPresence

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


def test_workers_that_are_not_here_are_shown_as_asked_for_and_not_as_running() -> None:
    from rich.console import Console

    waiting = replace(NOW, running=0, workers=WorkerPresence(asked=2, here=0, placed=0))
    assert (
        "0 running" in waiting.line() and "workers: 2 asked, 0 here, waiting for resources;" in waiting.line()
    )
    console = Console(width=100, record=True, file=StringIO())
    console.print(panel_of(waiting, "val_accuracy"))
    assert "2 asked, 0 here, waiting for resources" in console.export_text()
    assert str(WorkerPresence(asked=2, here=1, placed=2)) == "2 asked, 1 here, starting"
    assert "asked" not in replace(NOW, workers=WorkerPresence(asked=2, here=2, placed=2)).line()


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
    assert "4 of 40 trials ended: 1 completed, 3 stopped, 0 failed; 2 running" in text
    assert "15 min 0 s, about 45 min 0 s left" in text


def test_a_notebook_replaces_one_panel_and_keeps_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    displayed: list[str] = []

    class Handle:
        def update(self, panel: Any) -> None:
            displayed.append("updated")

    def display(panel: Any, display_id: bool) -> Handle:
        assert display_id and panel.title == "toprung"
        displayed.append("new")
        return Handle()

    monkeypatch.setattr(progress_display, "is_notebook", lambda: True)
    monkeypatch.setattr(progress_display, "NOTEBOOK_PANEL_EVERY_SECS", 0.01)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    progress: Any = FakeProgress()
    with ProgressDisplay(progress, "val_accuracy"):
        wait_for(lambda: len(displayed) >= 3)
    assert displayed[0] == "new" and set(displayed[1:]) == {"updated"}


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_panel_is_drawn_on_a_terminal_alone_unless_it_is_given(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    panels: list[str] = []
    monkeypatch.setattr(progress_display, "panel_of", lambda *_: panels.append("drawn") or "panel")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    for live in (None, False):
        panels.clear()
        progress: Any = FakeProgress()
        with ProgressDisplay(progress, "val_accuracy", live):
            pass
        assert bool(panels) is (is_terminal and live is None)
