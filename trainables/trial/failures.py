"""What an exception means for the trial that raised it: the outcome, the traceback, the memory that was missing."""

from __future__ import annotations

import math
import re
import traceback
from dataclasses import dataclass
from itertools import dropwhile
from typing import TYPE_CHECKING

from toprung.spaces.errors import printable
from toprung.spaces.user_code.interrupts import interrupts_noted
from toprung.spaces.user_code.raised import line_raised
from toprung.trainables.trial.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

ERROR_TAIL_CHARS = 2000
REASON_CHARS = 1000
_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50, "EiB": 2**60}


_ITEM_BYTES = {
    "half": 2,
    "bfloat16": 2,
    "float": 4,
    "double": 8,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "bool": 1,
}


# The first is TensorFlow's on a GPU; the second is that of XLA, JAX and NumPy.
_TENSOR = re.compile(r"allocating tensor with shape\[([\d,]*)\] and type (\w+)")
_AMOUNT = re.compile(r"(?:allocate|allocating)\s+([\d.]+)\s*(bytes|[KMGTPE]iB)")


@dataclass(frozen=True)
class Failure:
    """How a trial failed; false when it did not.

    STOPPED is no failure: the trial ends before its first epoch, as its model breaks a bound or is too slow. `error` is
    the end of the traceback, `reason` the exception's type and the first line of what it says, or why it is STOPPED.
    `failed_allocation_bytes` is the size of the allocation that failed when memory ran out, None if unknown.
    """

    outcome: Outcome | None
    error: str = ""
    failed_allocation_bytes: int | None = None
    reason: str = ""

    @classmethod
    def none(cls) -> Failure:
        """No failure."""
        return cls(None)

    def __bool__(self) -> bool:
        return self.outcome is not None


def failure_of(error: BaseException) -> Failure:
    """The failure that an exception stands for: OOM when memory ran out, else FAILED."""
    tail = "".join(traceback.format_exception(error))[-ERROR_TAIL_CHARS:]
    if is_out_of_memory(error):
        return Failure(Outcome.OOM, tail, failed_allocation_bytes(str(error)), reason_of(error))
    return Failure(Outcome.FAILED, tail, reason=reason_of(error))


def reason_of(error: BaseException) -> str:
    """The exception's type, the first line of what it says and the line of the user's code that it comes from."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    name = type(error).__name__
    told = f"{name}: {printable(lines[0])[:REASON_CHARS]}" if lines else name
    return told + line_raised(error)


def catch_failure(action: Callable[[], None], catches_interrupts: bool = False) -> Failure:
    """Run an action and return how it failed; `sys.exit()` in a user's code is a failure like any other.

    The exception is dropped, and with it the models that the frames of its traceback hold.

    Args:
        action: What to run.
        catches_interrupts: Whether the KeyboardInterrupt of a signal is a failure too, as in a worker, which Ray
            shields from Ctrl-C; one that a user's code raises is a failure in any process.
    """
    with interrupts_noted() as interrupts:
        try:
            action()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and interrupts and not catches_interrupts:
                raise
            return failure_of(error)
    return Failure.none()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the host or on a device, under TensorFlow or JAX."""
    named = type(error).__name__ == "ResourceExhaustedError"
    return isinstance(error, MemoryError) or named or "RESOURCE_EXHAUSTED" in str(error)


def failed_allocation_bytes(message: str) -> int | None:
    """The size of the allocation that failed, if the message of TensorFlow, XLA or NumPy names it."""
    if tensor := _TENSOR.search(message):
        shape = [int(size) for size in tensor[1].split(",") if size]
        return math.prod(shape) * _ITEM_BYTES.get(tensor[2], 4)
    if amount := _AMOUNT.search(message):
        return int(float(amount[1]) * _UNITS[amount[2]])
    return None


def last_exception_line(error: str) -> str:
    """The exception at the end of a traceback, its type and whole message, on one line."""
    lines = error.rstrip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith('  File "')]
    after = dropwhile(lambda line: line.startswith("  "), lines[frames[-1] :] if frames else [])
    # A traceback that was cut within its message has no frame left: its last line says most.
    return " ".join(" ".join(list(after) or lines[-1:]).split()) or "no message"
