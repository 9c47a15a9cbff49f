"""What this process may use of its machine: as much as its control groups allow, all of it where there are none."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def memory_bytes(groups: Path = GROUPS, own: Path = OWN_GROUPS) -> int:
    """Bytes of memory: of the machine, or what its container or batch job may take."""
    import psutil

    limits = [float(psutil.virtual_memory().total)]
    for folder in _folders("memory", groups, own):
        limits += _numbers(folder / "memory.max") + _numbers(folder / "memory.limit_in_bytes")
    return int(min(limit for limit in limits if limit > 0))


def limit_memory(max_bytes: int) -> None:
    """Have allocations of this process beyond so many bytes fail, before the system ends some process for them.

    Memory that is only reserved, as CUDA does, is not counted. Does nothing where the system has no such limit.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        wanted = max_bytes if hard == resource.RLIM_INFINITY else min(max_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def cores(groups: Path = GROUPS, own: Path = OWN_GROUPS) -> float:
    """Cores this process may run on, or as many as its container or batch job may keep busy; may be less than one."""
    affinity = getattr(os, "sched_getaffinity", None)
    limits = [float(len(affinity(0)) if affinity else os.cpu_count() or 1)]
    for folder in _folders("cpu", groups, own):
        split = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
        for quota in (_numbers(folder / "cpu.max"), split):
            if len(quota) == 2 and min(quota) > 0:
                limits.append(quota[0] / quota[1])
    return min(limits)


def whole_cores() -> int:
    """As many processes as can compute at once, 1 at least."""
    return max(1, int(cores()))


def _folders(controller: str, groups: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's group and of the groups around it: the limits of all of them hold.

    In version 2 a line `0::/path` names the group, in version 1 one such as `4:cpu,cpuacct:/path` for each controller;
    where both are there, version 2 has a folder of its own.
    """
    lines: list[str] = []
    with suppress(OSError):
        lines = own.read_text().splitlines()
    yield groups
    yield groups / controller
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        if not controllers or controller in controllers.split(","):
            group = PurePosixPath(path.lstrip("/"))
            roots = (
                {groups / controller, groups / controllers} if controllers else {groups, groups / "unified"}
            )
            yield from (root / part for root in roots for part in (group, *group.parents))


def _numbers(file: Path) -> list[float]:
    """The numbers in a file; none where there is no such file, or where it says `max` for no limit."""
    with suppress(OSError, ValueError):
        return [float(word) for word in file.read_text().split()]
    return []
