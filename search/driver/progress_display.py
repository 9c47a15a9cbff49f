"""Shows a running search: a live panel on a terminal or in a notebook, else a line in the log now and then."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING, Self

from toprung.search.driver.progress import duration, preemptions_in_words
from toprung.trainables.trial.trial_id import AS_MANY_AS_FIT, trials_in_words

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType

    from toprung.search.driver.progress import ProgressSnapshot, SearchProgress

PROGRESS_LOG = "toprung.progress"
"""The logger of progress lines; everything else is logged at `toprung`."""
_log, _progress_log = logging.getLogger("toprung"), logging.getLogger(PROGRESS_LOG)
LOOK_EVERY_SECS = 5.0
PANEL_EVERY_SECS = 0.25
NOTEBOOK_PANEL_EVERY_SECS = 1.0


# Lines come with every look at first, then ever less often, so that a night's log stays readable.
LINE_EVERY_SHARE, LINE_EVERY_SECS = 0.02, 60.0


class ProgressDisplay:
    """Shows the progress of a search from a thread of its own for the block.

    `metric` names the best value; `live` is whether to draw a panel, None: where there is a terminal or a notebook.
    """

    def __init__(self, progress: SearchProgress, metric: str, live: bool | None = None) -> None:
        self._progress, self._metric = progress, metric
        in_notebook = is_notebook()
        is_live = (in_notebook or sys.stdout.isatty()) if live is None else live
        self._done = threading.Event()
        show = self._show_notebook_panel if in_notebook else self._show_panel
        target = show if is_live else self._log_lines
        self._thread = threading.Thread(target=target, name="toprung-display", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _log_lines(self) -> None:
        schedule = LineSchedule()
        while not self._done.wait(LOOK_EVERY_SECS):
            self._log_notes()
            now = self._progress.snapshot()
            if schedule.is_due(now.elapsed_secs):
                _progress_log.info(now.line())

    def _log_notes(self) -> None:
        for note in self._progress.new_notes():
            _log.info(note)

    def _show_panel(self) -> None:
        from rich.live import Live

        with Live(self._panel(), refresh_per_second=4, transient=True) as live:
            while not self._done.wait(PANEL_EVERY_SECS):
                self._log_notes()
                live.update(self._panel())

    def _show_notebook_panel(self) -> None:
        # rich.live needs ipywidgets in a notebook; IPython alone can replace what a cell displays.
        from IPython.display import display

        panel = display(self._panel(), display_id=True)
        while not self._done.wait(NOTEBOOK_PANEL_EVERY_SECS):
            self._log_notes()
            panel.update(self._panel())
        panel.update(self._panel())

    def _panel(self) -> RenderableType:
        return panel_of(self._progress.snapshot(), self._metric)


class LineSchedule:
    """When a line is due: 2% of the time so far after the last one, at most a minute."""

    def __init__(self) -> None:
        self._due_secs = 0.0

    def is_due(self, elapsed_secs: float) -> bool:
        """Whether a line is to be written now; it then counts as written."""
        if elapsed_secs < self._due_secs:
            return False
        self._due_secs = elapsed_secs + min(LINE_EVERY_SHARE * elapsed_secs, LINE_EVERY_SECS)
        return True


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    from rich.console import Console

    return Console().is_jupyter


def panel_of(now: ProgressSnapshot, metric: str) -> RenderableType:
    """The snapshot as a panel; `metric` names the best value."""
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    best = f"{now.best.value:.4f}  ({now.best.trial_id}, epoch {now.best.epoch})" if now.best else "-"
    preempted = f"; {preemptions_in_words(now.preemptions)}" if now.preemptions else ""
    rows: list[tuple[str, RenderableType]] = [
        ("", f"{trials_in_words(now.ended, now.trials)} ended: {now.completed} completed, {now.stopped} stopped, "
             f"{now.failed} failed; {now.running} running" + preempted),
        (f"best {metric}", best),
        ("epochs", f"{now.epochs}{now.rate}"),
        ("workers", str(now.workers)),
        ("time", duration(now.elapsed_secs) + now.outlook),
    ]  # fmt: skip
    if now.trials < AS_MANY_AS_FIT:
        rows.insert(0, ("trials", ProgressBar(total=now.trials, completed=now.ended, width=40)))
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(name, value)
    return Panel(grid, title="toprung", title_align="left", expand=False)
