"""What a person sees while a search runs: a live panel on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from trainables.report import Outcome

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType

    from search.loop import SearchLoop

LINE_EVERY_SECS = 5.0
PANEL_EVERY_SECS = 0.25
RATE_WINDOW_SECS = 30.0


@dataclass(frozen=True)
class Snapshot:
    """How a running search stands; `eta_secs` is None until a trial has ended."""

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
        eta = f", about {duration(self.eta_secs)} left" if self.eta_secs is not None else ""
        rate = f"{self.epochs} epochs at {self.epochs_per_sec:.1f}/s"
        trials = f"{self.ended}/{self.trials} trials, {counts}{failed}"
        return f"{duration(self.elapsed_secs)}: {trials}; {best}; {rate}{eta}"


class Display:
    """Shows a `SearchLoop` from a thread of its own for as long as the block lasts."""

    def __init__(
        self, loop: SearchLoop, metric: str, trials: int, concurrent: int, live: bool | None = None
    ) -> None:
        self._loop, self._metric, self._trials, self._concurrent = loop, metric, trials, concurrent
        self._live = sys.stdout.isatty() if live is None else live
        self._began = time.monotonic()
        self._ended_before = sum(loop.outcomes.values())
        self._rates: deque[tuple[float, int]] = deque([(self._began, loop.spent.epochs)])
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

    def snapshot(self) -> Snapshot:
        """The loop's state now."""
        loop, now = self._loop, time.monotonic()
        epochs = loop.spent.epochs
        self._rates.append((now, epochs))
        while len(self._rates) > 2 and now - self._rates[0][0] > RATE_WINDOW_SECS:
            self._rates.popleft()
        since, epochs_then = self._rates[0]
        completed, stopped = loop.outcomes[Outcome.COMPLETED], loop.outcomes[Outcome.STOPPED]
        ended = sum(loop.outcomes.values())
        return Snapshot(
            running=min(loop.running, self._concurrent),
            completed=completed,
            stopped=stopped,
            failed=ended - completed - stopped,
            trials=self._trials,
            epochs=epochs,
            epochs_per_sec=(epochs - epochs_then) / (now - since) if now > since else 0.0,
            best=loop.leader,
            elapsed_secs=now - self._began,
            eta_secs=self._eta_secs(ended, now),
        )

    def _eta_secs(self, ended: int, now: float) -> float | None:
        here = ended - self._ended_before
        left = max(0, self._trials - ended)
        return (now - self._began) / here * left if here else None

    def _new_notes(self) -> list[str]:
        notes = self._loop.notes()[self._notes_shown :]
        self._notes_shown += len(notes)
        return [f"note: {note}" for note in notes]

    def _print_lines(self) -> None:
        while not self._done.wait(LINE_EVERY_SECS):
            print("\n".join([*self._new_notes(), self.snapshot().line()]), flush=True)

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
            ("epochs", f"{now.epochs}, {now.epochs_per_sec:.1f} a second"),
            ("time", f"{duration(now.elapsed_secs)}, about {duration(now.eta_secs)} left"
                     if now.eta_secs is not None else duration(now.elapsed_secs)),
        ]  # fmt: skip
        grid = Table.grid(padding=(0, 2))
        for name, value in rows:
            grid.add_row(name, value)
        return Panel(grid, title="toprung", title_align="left", expand=False)


def duration(secs: float) -> str:
    """Seconds as people say them: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(secs)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
