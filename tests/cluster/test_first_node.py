"""A search whose workers get what a node has waits for the first node, with a GPU where one may come."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from toprung.cluster.first_node import wait_for_first_node
from toprung.cluster.session import TrialResources
from toprung.cluster.worker_demand import NoNodeError

HEAD, CPU_NODE, GPU_NODE = {"CPU": 0.0}, {"CPU": 4.0}, {"CPU": 8.0, "GPU": 1.0}
TRIAL = TrialResources(cpus=2, gpus=0, concurrent=None)


class Demand:
    """A placement group that is placed when it has been asked for `after` times."""

    def __init__(self, after: int) -> None:
        self.after, self.asked_for, self.removed = after, 0, False

    def wait(self, timeout_seconds: float) -> bool:
        self.asked_for += 1
        return self.asked_for > self.after


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A cluster of a head without cores, and what its autoscaler was asked for."""
    found = SimpleNamespace(alive=[HEAD], types=None, demands=[], group=Demand(after=2))

    def placement_group(bundles: list[dict[str, float]]) -> Demand:
        found.demands += bundles
        return found.group

    def remove_placement_group(group: Demand) -> None:
        group.removed = True

    util = SimpleNamespace(placement_group=placement_group, remove_placement_group=remove_placement_group)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(util=util))
    for module in ("first_node", "worker_demand"):
        monkeypatch.setattr(f"toprung.cluster.{module}.alive_nodes", lambda: found.alive)
    monkeypatch.setattr("toprung.cluster.first_node.node_types", lambda: found.types)
    return found


@pytest.mark.parametrize(
    ("types", "demand"),
    [
        (None, {"CPU": 2}),
        ([HEAD, CPU_NODE], {"CPU": 2}),
        ([HEAD, CPU_NODE, GPU_NODE], {"CPU": 2, "GPU": 1}),
    ],
)
def test_an_autoscaler_is_asked_for_a_node_with_a_gpu_where_it_has_that_type(
    cluster: SimpleNamespace, types: list[dict[str, float]] | None, demand: dict[str, float]
) -> None:
    cluster.types = types
    wait_for_first_node(TRIAL, wait_secs=60)
    assert cluster.demands == [demand] and cluster.group.asked_for == 3
    assert cluster.group.removed, "its workers ask for themselves"


def test_a_node_without_a_gpu_is_not_enough_where_one_with_a_gpu_may_come(cluster: SimpleNamespace) -> None:
    cluster.alive, cluster.types = [HEAD, CPU_NODE], [CPU_NODE, GPU_NODE]
    wait_for_first_node(TRIAL, wait_secs=60)
    assert cluster.demands == [{"CPU": 2, "GPU": 1}]


@pytest.mark.parametrize(
    ("alive", "types"),
    [([HEAD, GPU_NODE], [GPU_NODE]), ([HEAD, CPU_NODE], None), ([HEAD, CPU_NODE], [CPU_NODE])],
)
def test_nothing_is_waited_for_where_the_node_is_there(
    cluster: SimpleNamespace, alive: list[dict[str, float]], types: list[dict[str, float]] | None
) -> None:
    cluster.alive, cluster.types = alive, types
    wait_for_first_node(TRIAL, wait_secs=60)
    assert cluster.demands == []


def test_a_node_that_does_not_come_in_time_ends_the_search(cluster: SimpleNamespace) -> None:
    cluster.group.after = sys.maxsize
    with pytest.raises(
        NoNodeError, match="waited for a node with 2 CPUs; the cluster has 1 node with 0 CPUs"
    ):
        wait_for_first_node(TRIAL, wait_secs=0)
    assert cluster.group.removed
