"""A step that hangs ends its process, and one that does not is left alone."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from toprung.trainables.system.watchdog import Watchdog

HANGS = """
import time
from toprung.trainables.system.watchdog import Watchdog

def tell():
    print("told", flush=True)
    {also}

with Watchdog(0.2, tell).limited():
    time.sleep({secs})
print("went on", flush=True)
"""


@pytest.mark.parametrize(
    ("secs", "also", "told", "code"),
    [
        (60, "pass", "told", 1),
        (60, "raise ConnectionError('the driver is gone')", "told", 1),
        # The block ends while it is being told: what it found comes too late.
        (0.4, "time.sleep(1)", "told", 1),
        (0, "pass", "went on", 0),
    ],
    ids=["hangs", "nobody hears it", "ends too late", "in time"],
)
def test_a_process_ends_where_a_block_takes_too_long_and_says_so_first(
    secs: float, also: str, told: str, code: int
) -> None:
    script = HANGS.format(secs=secs, also=also)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (ended.stdout.split("\n")[0], ended.returncode) == (told, code)


def test_a_block_that_ended_is_not_held_against_the_next_one() -> None:
    told: list[str] = []
    deadline = Watchdog(0.2, lambda: told.append("overran"))
    for _ in range(5):
        with deadline.limited():
            time.sleep(0.1)
    time.sleep(0.3)
    assert told == []
