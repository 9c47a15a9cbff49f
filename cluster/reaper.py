"""Ends what a search started when the search itself can no longer do so.

Ray's own processes mostly follow a killed driver, and some (its agents) stay. This small process is told of the
driver's end by the end of its standard input, which happens however the driver dies.

    python -m toprung.cluster.reaper DRIVER_PID EARLIER_PID...
"""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

LOOK_EVERY_SECS = 0.5
GRACE_SECS = 3.0


@contextmanager
def orphan_watch() -> Iterator[None]:
    """Watch over the processes that this one starts, children of children included, until it ends or is killed.

    Those it started before the block, and theirs, are left alone: a notebook has some of its own.
    """
    driver = psutil.Process()
    pids = [driver.pid, *(child.pid for child in driver.children())]
    command = [sys.executable, "-P", "-m", "toprung.cluster.reaper", *map(str, pids)]
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        assert watcher.stdin is not None
        watcher.stdin.close()
        watcher.wait()


def main(driver_pid: int, *earlier_pids: int) -> None:
    """Remember the driver's new descendants until standard input ends, then end those that are left."""
    seen: set[psutil.Process] = set()
    own = psutil.Process()
    with suppress(psutil.NoSuchProcess):
        driver = psutil.Process(driver_pid)
        earlier = [process for process in driver.children() if process.pid in earlier_pids]
        while not select.select([sys.stdin], [], [], LOOK_EVERY_SECS)[0]:
            seen.update(driver.children(recursive=True))
            for process in earlier:
                seen.difference_update([process, *_children(process)])
    end(seen - {own})


def end(processes: set[psutil.Process]) -> None:
    """Give the processes and their children a moment to go by themselves, then kill them."""
    _, alive = psutil.wait_procs(list(processes), timeout=GRACE_SECS)
    for process in alive:
        for one in [*_children(process), process]:
            # A process number may have been given anew; psutil compares the time of creation before it kills.
            with suppress(psutil.NoSuchProcess):
                one.kill()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
