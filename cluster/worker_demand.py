"""How many workers a search wants from a cluster whose nodes come and go, and how long it waits for the first node."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from typing import TYPE_CHECKING

from toprung.cluster.session import ClusterUnreachableError, alive_nodes, trials_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toprung.cluster.session import TrialResources

_log = logging.getLogger("toprung")
LOOK_EVERY_SECS = 2.0


class NoNodeError(ClusterUnreachableError):
    """No node that can hold a trial came in time; add one, then run the same command again."""


class WorkerDemand:
    """The number of workers wanted, which follows the cluster's nodes where the job gives none.

    It is then as many as fit the nodes that are alive, and one more: that one's placement group waits, so that an
    autoscaler sees a demand, and is placed on the next node that joins.
    """

    def __init__(
        self,
        resources: TrialResources,
        wait_secs: float = math.inf,
        nodes: Callable[[], Sequence[Mapping[str, float]]] = lambda: alive_nodes(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to look at the nodes.

        Args:
            resources: What one trial takes, and the number of workers that the job gives, if any.
            wait_secs: For how long there may be no node that can hold a trial while no worker is here.
            nodes: Gives the resources of each node that is alive.
            clock: Gives seconds, from any origin.
        """
        self._resources, self._wait_secs, self._nodes, self._clock = resources, wait_secs, nodes, clock
        self._fits, self._look_at_secs = 0, -math.inf
        self._waiting_since_secs: float | None = None

    @property
    def wanted(self) -> int:
        """How many workers are wanted now."""
        self._look()
        return self._resources.concurrent or self._fits + 1

    @property
    def hoped_for(self) -> int:
        """How many workers the job asks for, without the one that only shows an autoscaler a demand."""
        self._look()
        return self._resources.concurrent or max(1, self._fits)

    @property
    def fits(self) -> int:
        """How many workers the nodes that are alive hold, whatever uses them."""
        self._look()
        return self._fits

    def check(self, workers: int) -> None:
        """Say once that no node can hold a trial while none of `workers` is here.

        Raises:
            NoNodeError: It has been so for `wait_secs`.
        """
        self._look()
        if workers or self._fits:
            self._waiting_since_secs = None
            return
        now_secs = self._clock()
        if self._waiting_since_secs is None:
            self._waiting_since_secs = now_secs
            if self._wait_secs:
                _log.warning(f"waiting for {self._missing()}")
        if now_secs - self._waiting_since_secs >= self._wait_secs:
            raise NoNodeError(
                f"there was no node for {self._wait_secs / 60:g} minutes (resources.wait_minutes): waited for "
                f"{self._missing()}; the same command goes on where it stopped"
            )

    def _look(self) -> None:
        now_secs = self._clock()
        if now_secs >= self._look_at_secs:
            self._look_at_secs = now_secs + LOOK_EVERY_SECS
            self._fits = sum(trials_on(node, self._resources) for node in self._nodes())

    def _missing(self) -> str:
        needed = amounts(self._resources.cpus, self._resources.gpus)
        return f"a node with {needed}; the cluster has {_inventory(self._nodes())}"


def amounts(cpus: float, gpus: float) -> str:
    """Cores and GPUs in words: 1 CPU and 0.5 GPUs."""
    words = [
        f"{count:g} {name}{'' if count == 1 else 's'}"
        for name, count in (("CPU", cpus), ("GPU", gpus))
        if count or name == "CPU"
    ]
    return " and ".join(words)


def _inventory(nodes: Sequence[Mapping[str, float]]) -> str:
    kinds = Counter(amounts(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes)
    each = [f"{count} node{'' if count == 1 else 's'} with {found}" for found, count in kinds.items()]
    return ", ".join(each) or "no node"
