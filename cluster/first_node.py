"""Waits for the first node of a cluster that can hold a trial, where what a trial gets depends on that node."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from toprung.cluster.node_types import node_types
from toprung.cluster.session import alive_nodes, trials_on
from toprung.cluster.worker_demand import WorkerDemand

if TYPE_CHECKING:
    from toprung.cluster.session import TrialResources

LOOK_EVERY_SECS = 2


def wait_for_first_node(resources: TrialResources, wait_secs: float) -> None:
    """Wait until a node is there that can hold a trial, with a GPU where the autoscaler may start one that has.

    A placement group waits with it, which an autoscaler takes for a demand.

    Args:
        resources: What a trial takes beside its share of a GPU.
        wait_secs: For how long to wait.

    Raises:
        NoNodeError: There was none in time.
    """
    import ray

    nodes, with_gpu = alive_nodes(), replace(resources, gpus=1.0)
    if any(trials_on(node, with_gpu) for node in nodes):
        return
    needed = with_gpu if any(trials_on(kind, with_gpu) for kind in node_types() or ()) else resources
    if any(trials_on(node, needed) for node in nodes):
        return
    demand = WorkerDemand(needed, wait_secs)
    group = ray.util.placement_group([{"CPU": needed.cpus, **({"GPU": needed.gpus} if needed.gpus else {})}])
    try:
        while not group.wait(timeout_seconds=LOOK_EVERY_SECS):
            demand.check(0)
    finally:
        ray.util.remove_placement_group(group)
