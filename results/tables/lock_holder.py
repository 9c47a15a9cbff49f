"""Who writes a run: a process on a machine, told apart from every other process, and whether it still runs."""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

TIME_FORMAT = "%Y-%m-%d %H:%M:%S UTC"


@dataclass(frozen=True)
class LockHolder:
    """One process that has, or had, the right to write a run.

    Attributes:
        owner: Unique to each time that a run is taken.
        pid: The process, as its own machine or container numbers it.
        host: The machine's name, for messages.
        machine: Names the kernel's start and the process numbering; processes with the same can see each other.
        started: When the process was started, in the kernel's own time; another process may get its number later.
        since: When the run was taken, in UTC.
        renewals: Counts signs of life.
        has_released: Whether the run was let go.
        workers: Its workers in words, as of the last sign of life; empty where there are none.
    """

    owner: str
    pid: int
    host: str
    machine: str
    started: str
    since: str
    renewals: int = 0
    has_released: bool = False
    workers: str = ""

    @classmethod
    def this_process(cls) -> Self:
        """This process, which takes the run now."""
        pid = os.getpid()
        now = datetime.now(UTC).strftime(TIME_FORMAT)
        return cls(uuid.uuid4().hex, pid, socket.gethostname(), this_machine(), _start_of(pid) or "", now)

    @classmethod
    def decode(cls, content: bytes) -> Self | None:
        """What `encode` gave; None for anything else."""
        try:
            fields: dict[str, Any] = json.loads(content)
            return cls(**fields)
        except (ValueError, TypeError):
            return None

    def encode(self) -> bytes:
        """The holder as a file's content."""
        return json.dumps(asdict(self)).encode()

    def renewed(self, workers: str = "") -> Self:
        """The same with one more sign of life."""
        return replace(self, renewals=self.renewals + 1, workers=workers)

    @property
    def runs(self) -> bool | None:
        """Whether the process runs; None where this machine, or this container, cannot see it."""
        if self.machine != this_machine():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return _start_of(self.pid) == (self.started or None)

    @property
    def took_at(self) -> datetime:
        """When the run was taken, UTC; now where the file does not tell."""
        try:
            return datetime.strptime(self.since, TIME_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            return datetime.now(UTC)

    def __str__(self) -> str:
        return f"pid {self.pid}, host {self.host}, since {self.since}"


def this_machine() -> str:
    """Names this start of the kernel and this numbering of processes; only the host where the system tells neither."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _start_of(pid: int) -> str | None:
    """When a process was started; None for one that has ended, and where the system does not tell."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state == "Z" else fields[18]
