"""Which Ray jobs have workers placed on the cluster, and which wait for room, from Ray's own table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB_DIGITS = 8
"""Hexadecimal digits of a job's number, with which the name of each of its placement groups ends."""


@dataclass(frozen=True)
class JobPlacement:
    """The workers of one Ray job, each a placement group.

    Attributes:
        placed: How many have a place on a node.
        waiting: What each of those that have none needs, by resource.
    """

    placed: int = 0
    waiting: tuple[Mapping[str, float], ...] = ()


def placements() -> dict[str, JobPlacement]:
    """The workers of all jobs on the cluster, by the job's number."""
    from ray.util import placement_group_table

    found: dict[str, JobPlacement] = {}
    for name, group in placement_group_table().items():
        job, state = name[-JOB_DIGITS:], group["state"]
        before = found.get(job, JobPlacement())
        if state == "CREATED":
            found[job] = JobPlacement(before.placed + 1, before.waiting)
        elif state in ("PENDING", "RESCHEDULING"):
            found[job] = JobPlacement(before.placed, (*before.waiting, *group["bundles"].values()))
    return found


def this_job() -> str:
    """The number of the job that this process is for the cluster."""
    import ray

    return str(ray.get_runtime_context().get_job_id())
