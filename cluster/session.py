"""The Ray cluster that a search runs on: started inside this process, or one that runs already."""

from __future__ import annotations

import logging
import math
import os
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.cluster.head_watch import head_watched
from toprung.cluster.interrupts import defer_interrupts
from toprung.cluster.local_ray import first_line, start_local_ray
from toprung.cluster.node_types import node_types
from toprung.cluster.raylet_messages import without_raylet_messages
from toprung.cluster.reaper import orphan_watch
from toprung.spaces.errors import InputError, Problem
from toprung.trainables.system.resource_limits import cores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


AUTH_HINT = (
    "a cluster started with `ray start` asks for a token: set RAY_AUTH_MODE=token and "
    "RAY_AUTH_TOKEN_PATH=FILE (64 hex digits) for every process, or RAY_AUTH_MODE=disabled for all of them"
)
CONNECT_TIMEOUT_SECS = 10.0
LOCAL_HOST = "127.0.0.1"


class ClusterUnreachableError(RuntimeError):
    """No cluster answers at the address; start one or give another address, then run the same command again."""


@dataclass(frozen=True)
class TrialResources:
    """CPU cores and GPUs of one trial, and how many workers are wanted (None: as many as fit)."""

    cpus: float
    gpus: float
    concurrent: int | None


@dataclass(frozen=True)
class Capacity:
    """How many workers a search wants, and the host at which they reach this process.

    Attributes:
        concurrent: Workers wanted at the start.
        proposes_early: Whether the next trial is proposed while workers train. With one worker each proposal waits for
            all results, so that the run can be repeated exactly.
        host: The host.
        is_joined: Whether the nodes are those of a running cluster, which come and go.
    """

    concurrent: int
    proposes_early: bool
    host: str = LOCAL_HOST
    is_joined: bool = False


@contextmanager
def connected(address: str | None, resources: TrialResources) -> Iterator[Capacity]:
    """Connect to Ray for the block and say how many workers with these resources are wanted.

    Args:
        address: HOST:PORT of a running cluster, or "auto" for the one that this machine is part of. None joins the
            cluster of the Ray job that this process is, else starts a local one that ends with the block.
        resources: What one trial takes.

    Raises:
        ClusterUnreachableError: No cluster answers at the address.
        RayStartError: There is no address, and Ray does not start on this machine.
        InputError: No node can ever hold a single trial.
    """
    import ray

    # Ray reports a worker that died and was replaced as an error of its own; the dispatcher handles that. From a
    # thread it also warns that it installs no signal handlers, which is as it should be.
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        stack.enter_context(without_raylet_messages())
        ends_in_order = stack.enter_context(orphan_watch())
        stack.callback(ray.shutdown)
        if address is None and "RAY_ADDRESS" not in os.environ:
            _start_local(resources)
            yield capacity_of(resources, LOCAL_HOST)
        else:
            _join(address)
            stack.enter_context(head_watched(ray.get_runtime_context().gcs_address, ends_in_order))
            yield joined_capacity(resources, str(ray.util.get_node_ip_address()))


def _start_local(resources: TrialResources) -> None:
    available = max(1.0, cores())
    if resources.cpus > available:
        raise InputError.single(
            "resources.cpus", f"{resources.cpus:g} requested", f"{available:g} may be used here"
        )
    fits = int(available // resources.cpus)
    workers = min(fits, resources.concurrent or fits)
    start_local_ray(math.ceil(workers * resources.cpus))


def _join(address: str | None) -> None:
    import ray

    where = os.environ.get("RAY_ADDRESS") or "auto" if address in (None, "auto") else str(address)
    try:
        _check_listening(latest_cluster() if where == "auto" else where)
        with defer_interrupts():
            # The word "auto" and not what it stands for: with it Ray finds the token of a cluster of this machine.
            ray.init(address=where, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray raises many types here: each of them means that there is no session
        raise ClusterUnreachableError(
            f"no Ray cluster answers at {where}: {first_line(error)}; {AUTH_HINT}"
        ) from error


def latest_cluster() -> str:
    """HOST:PORT of the cluster that Ray means by "auto": one that runs here, or the last that `ray start` began.

    Ray has no public function for it, and `ray.init` itself tries for minutes, with lines of its own, where that
    cluster has ended.

    Raises:
        ConnectionError: There is none.
    """
    from ray._private.services import canonicalize_bootstrap_address

    found: str | None = canonicalize_bootstrap_address("auto")
    if found is None:
        raise ConnectionError("no cluster was started on this machine")
    return found


def _check_listening(address: str) -> None:
    """Raise ConnectionError when nothing listens at host:port: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or "//" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_SECS).close()
    except OSError as error:
        raise ConnectionError(f"nothing listens at {address} ({error})") from error


def capacity_of(resources: TrialResources, host: str) -> Capacity:
    """As many workers as the nodes alive now hold, to which none is added; they reach this process at `host`.

    Raises:
        InputError: No node can hold a single trial.
    """
    nodes = alive_nodes()
    fits = sum(trials_on(node, resources) for node in nodes)
    if fits == 0:
        raise InputError(_shortages(nodes, resources))
    concurrent = min(fits, resources.concurrent or fits)
    return Capacity(concurrent, concurrent > 1, host)


def joined_capacity(resources: TrialResources, host: str) -> Capacity:
    """The workers wanted from a cluster whose nodes come and go, whatever it has now.

    Raises:
        InputError: None of the node types that its autoscaler may start, and no node alive, can hold a single trial.
    """
    nodes, types = alive_nodes(), node_types()
    fits = sum(trials_on(node, resources) for node in nodes)
    if types is not None and not fits and not any(trials_on(kind, resources) for kind in types):
        raise InputError(_shortages([*nodes, *types], resources))
    proposes_early = resources.concurrent is None or resources.concurrent > 1
    return Capacity(resources.concurrent or fits + 1, proposes_early, host, is_joined=True)


def trials_per_gpu(resources: TrialResources) -> int:
    """How many trials share a GPU if its memory sets no limit; 0 when the session has no GPU.

    It is as many as the cores of a node allow, and no more than run at once.
    """
    with_gpu = [node for node in alive_nodes() if node.get("GPU")]
    if not with_gpu:
        return 0
    by_cores = max(int(node.get("CPU", 0.0) / resources.cpus / node["GPU"]) for node in with_gpu)
    if resources.concurrent is None:
        return max(1, by_cores)
    gpus = sum(node["GPU"] for node in with_gpu)
    return max(1, min(by_cores, math.ceil(resources.concurrent / gpus)))


def alive_nodes() -> list[dict[str, float]]:
    """The resources of each node that is alive."""
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def trials_on(node: Mapping[str, float], resources: TrialResources) -> int:
    """How many trials with these resources a node holds at once."""
    by_cpu = int((node.get("CPU", 0.0) + 1e-9) // resources.cpus)
    if not resources.gpus:
        return by_cpu
    return min(by_cpu, int((node.get("GPU", 0.0) + 1e-9) // resources.gpus))


def _shortages(nodes: list[dict[str, float]], resources: TrialResources) -> list[Problem]:
    problems = []
    for name, requested in (("CPU", resources.cpus), ("GPU", resources.gpus)):
        largest = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if requested > largest:
            where = f"resources.{name.lower()}s"
            problems.append(
                Problem(where, f"{requested:g} requested", f"the largest node of the cluster has {largest:g}")
            )
    return problems or [Problem("resources", "no node has both", "ask for fewer cpus or gpus for each trial")]
