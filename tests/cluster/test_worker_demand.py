"""The number of workers wanted follows the nodes, and a search without a node for it says so and ends in time."""

from __future__ import annotations

import logging

import pytest

from toprung.cluster.session import TrialResources
from toprung.cluster.worker_demand import NoNodeError, WorkerDemand, amounts


class Cluster:
    """Nodes and a clock that the test moves."""

    def __init__(self, *nodes: dict[str, float]) -> None:
        self.alive, self.secs = list(nodes), 0.0

    def demand(
        self, cpus: float = 1, gpus: float = 0, concurrent: int | None = None, wait_secs: float = 60
    ) -> WorkerDemand:
        resources = TrialResources(cpus, gpus, concurrent)
        return WorkerDemand(resources, wait_secs, lambda: self.alive, lambda: self.secs)

    def later(self, secs: float) -> None:
        self.secs += secs


def test_the_number_wanted_follows_the_nodes_and_has_one_more_for_the_next() -> None:
    cluster = Cluster({"CPU": 0.0})
    demand = cluster.demand(cpus=2)
    assert demand.wanted == 1, "so that an autoscaler sees a demand"
    cluster.alive.append({"CPU": 5.0})
    cluster.later(3)
    assert demand.wanted == 3
    cluster.alive.pop()
    cluster.later(3)
    assert demand.wanted == 1


def test_the_number_that_the_job_gives_is_wanted_whatever_is_there() -> None:
    assert Cluster().demand(concurrent=7).wanted == 7
    assert Cluster({"CPU": 64.0}).demand(concurrent=7).wanted == 7


def test_the_nodes_are_looked_at_now_and_then_alone() -> None:
    looks: list[int] = []
    demand = WorkerDemand(
        TrialResources(1, 0, None), nodes=lambda: looks.append(1) or [{"CPU": 1.0}], clock=lambda: 5.0
    )
    assert [demand.wanted for _ in range(100)] == [2] * 100 and len(looks) == 1


def test_what_is_waited_for_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster({"CPU": 0.0}, {"CPU": 4.0}, {"CPU": 4.0})
    demand = cluster.demand(gpus=0.5)
    with caplog.at_level(logging.WARNING, "toprung"):
        for _ in range(5):
            demand.check(0)
            cluster.later(10)
    assert caplog.messages == [
        "waiting for a node with 1 CPU and 0.5 GPUs; the cluster has 1 node with 0 CPUs, 2 nodes with 4 CPUs"
    ]


def test_a_search_without_a_node_ends_when_its_time_is_over() -> None:
    cluster = Cluster()
    demand = cluster.demand(wait_secs=60)
    demand.check(0)
    cluster.later(59)
    demand.check(0)
    cluster.later(2)
    with pytest.raises(
        NoNodeError, match=r"1 minutes \(resources.wait_minutes\).*1 CPU.*has no node.*same command"
    ):
        demand.check(0)


def test_a_search_that_is_not_to_wait_ends_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "toprung"), pytest.raises(NoNodeError, match="1 CPU"):
        Cluster().demand(wait_secs=0).check(0)
    assert caplog.messages == []


def test_the_time_counts_anew_when_nodes_were_there_in_between() -> None:
    cluster = Cluster()
    demand = cluster.demand(wait_secs=60)
    demand.check(0)
    cluster.later(50)
    cluster.alive.append({"CPU": 1.0})
    demand.check(0)
    cluster.alive.clear()
    cluster.later(50)
    demand.check(0)
    cluster.later(50)
    demand.check(1), "a worker is here"
    cluster.later(50)
    demand.check(0)


def test_amounts_are_said_in_words() -> None:
    assert amounts(1, 1) == "1 CPU and 1 GPU"
    assert amounts(0, 0) == "0 CPUs"
    assert amounts(2.5, 0) == "2.5 CPUs"
