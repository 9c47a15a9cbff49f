"""Ends the processes that a search started when the search itself can no longer do so.

Ray's own processes mostly end with a killed driver, but some (its agents) stay. This small process learns of the
driver's end by the end of its standard input, which happens however the driver dies. Where that is without a word, as
when Ray's own processes end and Ray ends the driver with them, it says so in the driver's place.

    python -m toprung.cluster.reaper DRIVER_PID EARLIER_PID...
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

LOOK_EVERY_SECS = 0.5
GRACE_SECS = 3.0
LEFT = b"left"
ENDED_SUDDENLY = (
    "toprung: this process was ended from outside: it was killed, or Ray's own processes on this machine were (by "
    "`ray stop`, with the search that had started them, for want of memory), without which it cannot go on; nothing is "
    "lost: the same command continues"
)


@contextmanager
def orphan_watch() -> Iterator[Callable[[], None]]:
    """End the processes that this one starts within the block, and their children, at its end or when it is killed.

    Processes started before the block, and their children, are left alone: a notebook has some of its own. The block
    gets a function to call before this process ends itself within it, and has said why.
    """
    driver = psutil.Process()
    pids = [driver.pid, *(child.pid for child in driver.children())]
    command = [sys.executable, "-P", "-m", "toprung.cluster.reaper", *map(str, pids)]
    reaper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, bufsize=0)
    assert reaper.stdin is not None
    send = reaper.stdin.write

    def ends_in_order() -> None:
        # A reaper that was killed itself takes no word.
        with suppress(BrokenPipeError):
            send(LEFT)

    try:
        yield ends_in_order
    finally:
        ends_in_order()
        with suppress(BrokenPipeError):
            reaper.stdin.close()
        reaper.wait()


def main(driver_pid: int, *earlier_pids: int) -> None:
    """Collect the driver's new descendants until standard input ends, then end those that are left."""
    found: set[psutil.Process] = set()
    own = psutil.Process()
    with suppress(psutil.NoSuchProcess):
        driver = psutil.Process(driver_pid)
        earlier = [process for process in driver.children() if process.pid in earlier_pids]
        while not select.select([sys.stdin], [], [], LOOK_EVERY_SECS)[0]:
            found.update(driver.children(recursive=True))
            for process in earlier:
                found.difference_update([process, *_children(process)])
    if os.read(sys.stdin.fileno(), len(LEFT)) != LEFT:
        with suppress(OSError):  # the terminal may be gone with the driver
            sys.stderr.write(f"{ENDED_SUDDENLY}\n")
            sys.stderr.flush()
    end_processes(found - {own})


def end_processes(processes: set[psutil.Process]) -> None:
    """Wait a moment for the processes to end by themselves, then kill them with their children."""
    _, alive = psutil.wait_procs(list(processes), timeout=GRACE_SECS)
    for process in alive:
        for one in [*_children(process), process]:
            # The system may have reused a process id; psutil compares the time of creation before it kills.
            with suppress(psutil.NoSuchProcess):
                one.kill()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
