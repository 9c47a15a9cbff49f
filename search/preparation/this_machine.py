"""What a trial asks for that this machine has not: a search without a cluster is then refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from toprung.trainables.system.resource_limits import cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.jobs.schema import Job

GPU_DEVICES = ("nvidia[0-9]*", "kfd", "dxg")  # of NVIDIA, of AMD, of Windows under WSL


def shortages_here(job: Job) -> Iterator[str]:
    """A line for each resource of a trial that only a cluster can have."""
    cpus, gpus, rule = (
        job.resources.cpus,
        job.resources.gpus,
        "only a cluster, given by --address, can run a trial",
    )
    available = max(1.0, cores())
    if cpus > available:
        yield f"resources.cpus is {cpus:g}, and {available:g} may be used here: {rule}"
    if gpus != "auto" and gpus > 0 and not any(True for name in GPU_DEVICES for _ in Path("/dev").glob(name)):
        yield f"resources.gpus is {gpus:g}, and no GPU is here: {rule}"
