"""Records in the run's folder how its search ended, for whoever shows the run afterwards."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from toprung.results.tables.run_lock import RunBusyError
from toprung.results.tables.writer import TableWriteError
from toprung.results.tracking.search_end import SearchEnd
from toprung.search.driver.search_failure import failure_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.driver.open_run import OpenRun
    from toprung.search.loop.search_loop import SearchLoop


@contextmanager
def recorded_end(run: OpenRun, loop: SearchLoop) -> Iterator[None]:
    """Record how the block ends; while it runs no end is recorded, and so none is left by a driver that is killed.

    A search that had finished keeps its end when there is nothing left to do.
    """
    root = run.folder.root
    earlier = SearchEnd.read(root)
    if loop.finished and earlier and earlier.status == "FINISHED":
        yield
        return
    SearchEnd.forget(root)
    try:
        yield
    except BaseException as error:
        # Only an interruption has nothing to say about the search or its cluster.
        end = SearchEnd.now("FAILED" if isinstance(error, Exception) else "KILLED", _first_line(error))
        with suppress(TableWriteError):
            run.writer.flush()
        with suppress(OSError, RunBusyError):
            run.writer.lock.check()  # a run folder that was moved is not made anew
            end.write(root)
        raise
    failure = failure_of(loop, run)
    reason = failure or loop.stop_reason or loop.used_up_reason or ""
    SearchEnd.now("FAILED" if failure else "FINISHED", reason).write(root)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["interrupted"])[0]
