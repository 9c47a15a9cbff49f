"""Whether a machine of the cluster answers now: the head counts a node as alive for a minute after it is gone."""

from __future__ import annotations

import math
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_SECS = 1.0
"""For how long a node may take to accept a connection."""
REMEMBERED_SECS = 10.0
"""For how long a node that did not answer is not asked again: its workers die one after the other."""


def answers(address: str, secs: float = ANSWER_SECS) -> bool:
    """Whether something accepts connections at HOST:PORT within `secs`."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=secs).close()
    except (OSError, ValueError, OverflowError):  # not there, or no address
        return False
    return True


def node_answers(node_id: str) -> bool:
    """Whether the raylet of a node, by Ray's id of it, accepts connections."""
    import ray

    return any(
        node["Alive"] and answers(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}")
        for node in ray.nodes()
        if node["NodeID"] == node_id
    )


class DeadNodes:
    """The nodes that are dead or cannot be reached, each asked itself when one of its workers has ended."""

    def __init__(
        self,
        node_answers: Callable[[str], bool] = node_answers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node_answers, self._clock = node_answers, clock
        self._dead_until_secs: dict[str, float] = {}

    def __contains__(self, node_id: str) -> bool:
        """Whether a node, by Ray's id of it, does not answer now, or did not a moment ago."""
        if self._clock() < self._dead_until_secs.get(node_id, -math.inf):
            return True
        if self._node_answers(node_id):
            return False
        self._dead_until_secs[node_id] = self._clock() + REMEMBERED_SECS
        return True
