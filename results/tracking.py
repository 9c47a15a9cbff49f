"""The one MLflow writer of a search: a background thread in the driver, off everyone's path.

MLflow is a view of the tables. It takes seconds to import and may be down for hours; the search never waits
for it, and whatever it missed is written later, at the latest when the search ends or is resumed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from results.mlflow_runs import MlflowRuns, Tracking, TrialNews
from results.schema import EPOCHS, PROPOSALS, TRIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from results.rows import Row

PERIOD_SECS = 2.0
LONGEST_PAUSE_SECS = 60.0
_log = logging.getLogger("toprung")


class Runs(Protocol):
    """What the thread writes to; writing the same rows again must change nothing."""

    def write(self, trial_id: str, news: TrialNews) -> None:
        """Bring one trial up to date."""

    def end_search(self, status: str, metrics: Mapping[str, float]) -> None:
        """Close the search's own run."""


class Tracker:
    """Takes the rows that also go to the tables, and tells MLflow about them every `period_secs`.

    `proposed`, `reported`, `ended` and `catch_up` return at once and never raise. When MLflow does not
    answer, `warn` hears of it once, the rows stay in memory and are tried again after a growing pause.
    """

    def __init__(
        self,
        tracking: Tracking,
        warn: Callable[[str], None] = _log.warning,
        connect: Callable[[Tracking], Runs] = MlflowRuns,
        period_secs: float = PERIOD_SECS,
    ) -> None:
        self._tracking, self._warn, self._connect, self._period_secs = tracking, warn, connect, period_secs
        self._queue: deque[tuple[str, Any]] = deque()
        self._news: dict[str, TrialNews] = {}
        self._runs: Runs | None = None
        self._warned = False
        self._end: tuple[str, Mapping[str, float]] | None = None
        self._deadline = float("inf")
        self._closing = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._run, name="toprung-mlflow", daemon=True)
        self._thread.start()

    def proposed(self, row: Row) -> None:
        """A row of `proposals`: the trial's run with its parameters."""
        self._queue.append((PROPOSALS, row))

    def reported(self, row: Row) -> None:
        """A row of `epochs`: its finite metrics at step = epoch; an epoch MLflow has is not sent again."""
        self._queue.append((EPOCHS, row))

    def ended(self, row: Row) -> None:
        """A row of `trials`: the run ends FINISHED, KILLED or FAILED, tagged with the outcome."""
        self._queue.append((TRIALS, row))

    def catch_up(self, proposals: pd.DataFrame, epochs: pd.DataFrame, trials: pd.DataFrame) -> None:
        """Whatever of these tables MLflow does not have; call it when a search is resumed."""
        for table, frame in ((PROPOSALS, proposals), (EPOCHS, epochs), (TRIALS, trials)):
            self._queue.append((table, frame))

    def close(
        self, status: str = "FINISHED", metrics: Mapping[str, float] | None = None, timeout_secs: float = 30.0
    ) -> bool:
        """Write the rest and end the parent run as FINISHED, KILLED or FAILED; twice is no error.

        Returns whether MLflow has everything; after `timeout_secs` it gives up, with a warning.
        """
        if not self._closing.is_set():
            self._end = (status, dict(metrics or {}))
            self._deadline = time.monotonic() + timeout_secs
            self._closing.set()
        self._thread.join(max(self._deadline - time.monotonic(), 0.0))
        if not self._done:
            self._warn(f"MLflow at {self._tracking.uri} lacks part of this search; the tables have all of it")
        return self._done

    def _run(self) -> None:
        pause_secs = 0.0
        while not self._done and time.monotonic() < self._deadline:
            self._closing.wait(max(pause_secs, self._period_secs))
            try:
                self._done = self._sync()
                pause_secs = 0.0
            except Exception as error:  # whatever MLflow raises: the search goes on
                self._runs = None
                self._warn_once(error)
                pause_secs = min(max(2 * pause_secs, 2 * self._period_secs), LONGEST_PAUSE_SECS)
                if self._closing.is_set():
                    time.sleep(min(pause_secs, 2.0))

    def _sync(self) -> bool:
        """Write what is known now; True when that was all, the end of the search included."""
        closing = self._closing.is_set()
        if self._runs is None:
            self._runs = self._connect(self._tracking)
        for _ in range(len(self._queue)):
            self._take(*self._queue.popleft())
        for trial_id in list(self._news):
            news = self._news.pop(trial_id)
            try:
                self._runs.write(trial_id, news)
            except Exception:
                self._news[trial_id] = news  # now the last in line: a trial MLflow refuses holds up no other
                raise
        if closing and self._end is not None:
            self._runs.end_search(*self._end)
        return closing

    def _take(self, table: str, rows: Row | pd.DataFrame) -> None:
        records: list[Any] = rows.to_dict("records") if isinstance(rows, pd.DataFrame) else [rows]
        for row in records:
            news = self._news.setdefault(str(row["trial_id"]), TrialNews())
            if table == PROPOSALS:
                news.proposal = row
            elif table == EPOCHS:
                news.epochs[int(row["epoch"])] = row
            else:
                news.end = row

    def _warn_once(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            cause = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            self._warn(
                f"MLflow at {self._tracking.uri} does not answer ({cause}); the search goes on without it"
            )
