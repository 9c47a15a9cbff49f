"""What a person sees while a search runs: a live panel on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType

    from toprung.search.driver.search_loop import SearchLoop

LOOK_EVERY_SECS = 5.0
PANEL_EVERY_SECS = 0.25


# Plain lines come with every look at first, then ever more seldom, so that a night's log stays readable.
LINE_EVERY_SHARE, LINE_EVERY_SECS = 0.02, 60.0


@dataclass(frozen=True)
class ProgressSnapshot:
    """How a running search stands.

    `eta_secs` is None until a trial has ended; `ending` says why no further trial begins.
    """

    running: int
    completed: int
    stopped: int
    failed: int
    trials: int
    epochs: int
    epochs_per_sec: float
    best: tuple[str, int, float] | None
    elapsed_secs: float
    eta_secs: float | None
    ending: str | None = None

    @property
    def ended(self) -> int:
        """Trials that are over."""
        return self.completed + self.stopped + self.failed

    def line(self) -> str:
        """The snapshot as one plain line."""
        counts = f"{self.running} running, {self.completed} completed, {self.stopped} stopped"
        failed = f", {self.failed} failed" if self.failed else ""
        best = (
            f"best {self.best[2]:.4f} ({self.best[0]}, epoch {self.best[1]})"
            if self.best
            else "no result yet"
        )
        trials = f"{self.ended}/{self.trials} trials, {counts}{failed}"
        epochs = f"{self.epochs} epochs{self.rate}"
        return f"{duration(self.elapsed_secs)}: {trials}; {best}; {epochs}{self.outlook}"

    @property
    def rate(self) -> str:
        """How fast epochs come, with a comma before it; empty before the first."""
        return f", {per_time(self.epochs_per_sec)}" if self.epochs_per_sec else ""

    @property
    def outlook(self) -> str:
        """When it will be over, with a comma before it; empty where nothing is known of that."""
        if self.ending:
            return f", ending: {self.ending}"
        return f", about {duration(self.eta_secs)} left" if self.eta_secs is not None else ""


class ProgressDisplay:
    """Shows a `SearchLoop` from a thread of its own for as long as the block lasts."""

    def __init__(
        self, loop: SearchLoop, metric: str, trials: int, concurrent: int, live: bool | None = None
    ) -> None:
        self._loop, self._metric, self._trials, self._concurrent = loop, metric, trials, concurrent
        self._live = sys.stdout.isatty() if live is None else live
        self._began = time.monotonic()
        self._ended_before = sum(loop.outcomes.values())
        self._spent_before = loop.spent
        self._pace = EpochRate(self._began, loop.spent.epochs)
        self._notes_shown = 0
        self._done = threading.Event()
        target = self._show_panel if self._live else self._print_lines
        self._thread = threading.Thread(target=target, name="toprung-display", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def snapshot(self) -> ProgressSnapshot:
        """The loop's state now."""
        loop, now = self._loop, time.monotonic()
        spent = loop.spent
        completed, stopped = loop.outcomes[Outcome.COMPLETED], loop.outcomes[Outcome.STOPPED]
        ended = sum(loop.outcomes.values())
        return ProgressSnapshot(
            running=min(loop.running, self._concurrent),
            completed=completed,
            stopped=stopped,
            failed=ended - completed - stopped,
            trials=self._trials,
            epochs=spent.epochs,
            epochs_per_sec=self._pace.epochs_per_sec(now, spent.epochs),
            best=loop.leader,
            elapsed_secs=now - self._began,
            eta_secs=self._eta_secs(ended, now),
            ending=loop.ending,
        )

    def _eta_secs(self, ended: int, now: float) -> float | None:
        here, left = ended - self._ended_before, max(0, self._trials - ended)
        if not here:
            return None
        by_trials = (now - self._began) / here * left
        by_budget = self._loop.limits.secs_left(self._spent_before, self._loop.spent)
        return by_trials if by_budget is None else min(by_trials, by_budget)

    def _new_notes(self) -> list[str]:
        notes = self._loop.notes()[self._notes_shown :]
        self._notes_shown += len(notes)
        return [f"note: {note}" for note in notes]

    def _print_lines(self) -> None:
        due_secs = 0.0
        while not self._done.wait(LOOK_EVERY_SECS):
            lines, now = self._new_notes(), self.snapshot()
            if now.elapsed_secs >= due_secs:
                lines.append(now.line())
                due_secs = now.elapsed_secs + min(LINE_EVERY_SHARE * now.elapsed_secs, LINE_EVERY_SECS)
            if lines:
                print("\n".join(lines), flush=True)

    def _show_panel(self) -> None:
        from rich.live import Live

        with Live(self._panel(), refresh_per_second=4, transient=True) as live:
            while not self._done.wait(PANEL_EVERY_SECS):
                for note in self._new_notes():
                    live.console.print(note)
                live.update(self._panel())

    def _panel(self) -> RenderableType:
        from rich.panel import Panel
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        now = self.snapshot()
        rows: list[tuple[str, RenderableType]] = [
            ("trials", ProgressBar(total=now.trials, completed=now.ended, width=40)),
            ("", f"{now.ended} of {now.trials} ended: {now.completed} completed, {now.stopped} stopped, "
                 f"{now.failed} failed; {now.running} running"),
            (f"best {self._metric}", f"{now.best[2]:.4f}  ({now.best[0]}, epoch {now.best[1]})" if now.best else "-"),
            ("epochs", f"{now.epochs}{now.rate}"),
            ("time", duration(now.elapsed_secs) + now.outlook),
        ]  # fmt: skip
        grid = Table.grid(padding=(0, 2))
        for name, value in rows:
            grid.add_row(name, value)
        return Panel(grid, title="toprung", title_align="left", expand=False)


WINDOW_SECS, WINDOW_EPOCHS = 30.0, 10
UNITS = ((1.0, "a second"), (60.0, "a minute"), (3600.0, "an hour"))


class EpochRate:
    """Epochs a second of late: of the last 30 seconds, or of as long as it takes to see ten epochs."""

    def __init__(self, now_secs: float, epochs: int) -> None:
        self._seen = deque([(now_secs, epochs)])

    def epochs_per_sec(self, now_secs: float, epochs: int) -> float:
        """The rate now that there are so many epochs; times and counts never fall. 0.0 before the first epoch."""
        if epochs > self._seen[-1][1]:
            self._seen.append((now_secs, epochs))
        while len(self._seen) > 1 and _is_enough(now_secs - self._seen[1][0], epochs - self._seen[1][1]):
            self._seen.popleft()
        since, before = self._seen[0]
        return (epochs - before) / (now_secs - since) if now_secs > since else 0.0


def _is_enough(secs: float, epochs: int) -> bool:
    return secs >= WINDOW_SECS and epochs >= WINDOW_EPOCHS


def per_time(per_sec: float) -> str:
    """A rate by the shortest time in which there is one: 2.3 a second, 4.0 a minute, 1.5 an hour."""
    secs, name = next((unit for unit in UNITS if per_sec * unit[0] >= 1.0), UNITS[-1])
    return f"{per_sec * secs:.1f} {name}"


def duration(secs: float) -> str:
    """Seconds as people say them: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(secs)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
