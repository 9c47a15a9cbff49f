"""A worker counts on what its container or batch job may use, not on what the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from toprung.trainables.system.resource_limits import cores, memory_bytes, whole_cores

MACHINE_BYTES = psutil.virtual_memory().total
USABLE = (
    float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
)


def laid_out(root: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Control groups as the system shows them: the folder of all, and the file that names this process's own."""
    for name, content in files.items():
        path = root / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (root / "own").write_text(own)
    return root / "groups", root / "own"


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/\n", {"memory.max": "1048576\n", "cpu.max": "50000 100000\n"}),
        (
            "0::/slurm/job_7/step_0\n",
            {
                "slurm/job_7/memory.max": "1048576\n",
                "slurm/job_7/cpu.max": "50000 100000\n",
                "slurm/job_7/step_0/memory.max": "max\n",
                "slurm/job_7/step_0/cpu.max": "max 100000\n",
            },
        ),
        (
            "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n",
            {
                "memory/memory.limit_in_bytes": "1048576\n",
                "cpu/cpu.cfs_quota_us": "50000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
            },
        ),
        (
            "4:memory:/job\n1:cpu,cpuacct:/job\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/job/memory.limit_in_bytes": "1048576\n",
                "cpu,cpuacct/job/cpu.cfs_quota_us": "50000\n",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
        ),
        (
            "1:name=systemd:/job\n0::/job\n",
            {"unified/job/memory.max": "1048576\n", "unified/job/cpu.max": "50000 100000\n"},
        ),
    ],
    ids=["container", "batch job", "container of version 1", "batch job of version 1", "both versions"],
)
def test_the_tightest_limit_of_the_groups_it_lies_in_holds(
    tmp_path: Path, own: str, files: dict[str, str]
) -> None:
    places = laid_out(tmp_path, own, files)
    assert memory_bytes(*places) == 1048576
    assert cores(*places) == 0.5


@pytest.mark.parametrize(
    ("own", "files"),
    [
        ("0::/\n", {"memory.max": "max\n", "cpu.max": "max 100000\n"}),
        (
            "4:memory:/\n1:cpu:/\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
            },
        ),
        ("not a line of it\n", {"memory.max": "", "cpu.max": "many\n"}),
        ("0::/mine\n", {"other/memory.max": "1\n", "other/cpu.max": "1 1000\n"}),
    ],
    ids=["no limit", "no limit of version 1", "unreadable", "another's"],
)
def test_without_a_limit_it_is_the_machine(tmp_path: Path, own: str, files: dict[str, str]) -> None:
    places = laid_out(tmp_path, own, files)
    assert memory_bytes(*places) == MACHINE_BYTES
    assert cores(*places) == USABLE


def test_where_the_system_has_no_control_groups_it_is_the_machine(tmp_path: Path) -> None:
    assert memory_bytes(tmp_path / "none", tmp_path / "neither") == MACHINE_BYTES
    assert cores(tmp_path / "none", tmp_path / "neither") == USABLE


def test_there_is_a_core_for_one_process_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    for told, whole in [(0.5, 1), (1.0, 1), (2.5, 2)]:
        monkeypatch.setattr("toprung.trainables.system.resource_limits.cores", lambda told=told: told)
        assert whole_cores() == whole
