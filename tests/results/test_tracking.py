"""The tracking thread with MLflow left out: it holds nobody up, warns once, tells all in the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pandas as pd

from results.mlflow_runs import Tracking, TrialNews
from results.tracking import Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACKING = Tracking("http://tracking.example", "digits", "quickstart")


class Recorded:
    """Remembers what it is told; refuses as long as `down` is set, and always the trials in `refused`."""

    def __init__(self, refused: frozenset[str] = frozenset()) -> None:
        self.refused = refused
        self.down = threading.Event()
        self.tried = threading.Semaphore(0)
        self.epochs: dict[str, set[int]] = {}
        self.ends: dict[str, str] = {}
        self.closed: tuple[str, Mapping[str, float]] | None = None

    def connect(self, tracking: Tracking) -> Recorded:
        assert tracking is TRACKING
        if self.down.is_set():
            self.tried.release()
            raise ConnectionError("no route to host\nand a long trace")
        return self

    def write(self, trial_id: str, news: TrialNews) -> None:
        if trial_id in self.refused:
            raise ValueError("a value that the server refuses")
        self.epochs.setdefault(trial_id, set()).update(news.epochs)
        if news.end is not None:
            self.ends[trial_id] = news.end["outcome"]

    def end_search(self, status: str, metrics: Mapping[str, float]) -> None:
        self.closed = (status, metrics)


def tracker(runs: Recorded, heard: list[str]) -> Tracker:
    return Tracker(TRACKING, warn=heard.append, connect=runs.connect, period_secs=0.01)


def tell(made: Tracker, rows: dict[str, list[dict[str, Any]]]) -> None:
    for row in rows["proposals"]:
        made.proposed(row)
    for row in rows["epochs"]:
        made.reported(row)
    for row in rows["trials"]:
        made.ended(row)


def test_everything_told_is_written_by_the_end(search: Any) -> None:
    search.trial([0.5, 0.75])
    search.trial([0.5], None)
    runs, heard = Recorded(), []
    made = tracker(runs, heard)
    tell(made, search.rows)
    assert made.close("KILLED", {"best": 0.75})
    assert made.close(), "twice is no error"
    assert runs.epochs == {"t00000": {1, 2}, "t00001": {1}}
    assert runs.ends == {"t00000": "COMPLETED"}
    assert runs.closed == ("KILLED", {"best": 0.75})
    assert heard == []


def test_a_server_that_comes_back_hears_everything_and_the_user_one_warning(search: Any) -> None:
    search.trial([0.5, 0.75])
    runs, heard = Recorded(), []
    runs.down.set()
    made = tracker(runs, heard)
    tell(made, search.rows)
    for _ in range(3):
        runs.tried.acquire()
    runs.down.clear()
    assert made.close()
    assert runs.epochs == {"t00000": {1, 2}}
    assert heard == [
        "MLflow at http://tracking.example does not answer (no route to host); the search goes on without it"
    ]


def test_a_trial_the_server_refuses_holds_up_no_other(search: Any) -> None:
    refused = search.trial([0.5])
    search.trial([0.5])
    runs, heard = Recorded(frozenset({refused})), []
    made = tracker(runs, heard)
    tell(made, search.rows)
    assert not made.close(timeout_secs=0.3)
    assert runs.ends == {"t00001": "COMPLETED"}
    assert len(heard) == 2
    assert "lacks part of this search" in heard[1]


def test_tables_of_an_interrupted_search_are_caught_up(search: Any) -> None:
    search.trial([0.5, 0.75])
    runs, heard = Recorded(), []
    made = tracker(runs, heard)
    made.catch_up(*(pd.DataFrame(search.rows[name]) for name in ("proposals", "epochs", "trials")))
    assert made.close()
    assert (runs.epochs, runs.ends) == ({"t00000": {1, 2}}, {"t00000": "COMPLETED"})
