"""The Ray cluster a search runs on: started inside this process, or joined where one runs."""

from __future__ import annotations

import logging
import math
import os
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toprung.cluster.interrupts import defer_interrupts
from toprung.cluster.reaper import orphan_watch
from toprung.spaces.errors import InputError, Problem
from toprung.trainables.system.resource_limits import cores

if TYPE_CHECKING:
    from collections.abc import Iterator


AUTH_HINT = (
    "a cluster started with `ray start` asks for a token: set RAY_AUTH_MODE=token and "
    "RAY_AUTH_TOKEN_PATH=FILE (64 hex digits) for every process, or RAY_AUTH_MODE=disabled for all of them"
)
KNOCK_SECS = 10.0
LOCAL_HOST = "127.0.0.1"


class ClusterUnreachableError(RuntimeError):
    """No cluster answers at the address; start one or give another address, then run the same command again."""


@dataclass(frozen=True)
class TrialResources:
    """What one trial asks for: CPU cores and GPUs, and how many trials at most run at once (None: no cap)."""

    cpus: float
    gpus: float
    concurrent: int | None


@dataclass(frozen=True)
class Capacity:
    """How many trials run at once, whether the next is proposed while they do, and where workers find this process.

    One worker alone proposes from all it has seen, for runs that repeat exactly.
    """

    concurrent: int
    proposes_early: bool
    host: str = LOCAL_HOST


@contextmanager
def connected(address: str | None, need: TrialResources) -> Iterator[Capacity]:
    """A Ray session for the block: the cluster at `address` ("auto": the one this machine is part of), that of a
    Ray job if this process is one, else a local one that ends with this process.

    Raises `ClusterUnreachableError`, and `InputError` when no node can hold a single trial.
    """
    import ray

    # Of a worker that died and was replaced Tune tells a page, and at the end that its trials did not complete.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if address is None and "RAY_ADDRESS" not in os.environ:
            stack.enter_context(orphan_watch())
            stack.callback(ray.shutdown)
            _start_local(need)
            host = LOCAL_HOST
        else:
            stack.callback(ray.shutdown)
            _join(address)
            host = str(ray.util.get_node_ip_address())
        yield capacity_of(need, host)


def _start_local(need: TrialResources) -> None:
    import ray

    available = max(1.0, cores())
    if need.cpus > available:
        raise InputError.single("resources.cpus", f"{need.cpus:g} asked", f"{available:g} may be used here")
    fits = int(available // need.cpus)
    wanted = min(fits, need.concurrent or fits)
    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    with defer_interrupts():
        ray.init(
            address="local",  # without it Ray would join a cluster that runs on this machine, or one that is long gone
            num_cpus=math.ceil(wanted * need.cpus),
            include_dashboard=False,
            configure_logging=True,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )


def _join(address: str | None) -> None:
    import ray

    where = os.environ.get("RAY_ADDRESS", "auto") if address in (None, "auto") else str(address)
    try:
        _knock(where)
        with defer_interrupts():
            ray.init(address=address or "auto", logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray raises what it likes here: all of it means that there is no session
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ClusterUnreachableError(f"no Ray cluster answers at {where}: {message}; {AUTH_HINT}") from error


def _knock(address: str) -> None:
    """Raise OSError when nothing listens at host:port: Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "//" not in host:
        socket.create_connection((host, int(port)), timeout=KNOCK_SECS).close()


def capacity_of(need: TrialResources, host: str) -> Capacity:
    """What the session holds of trials with this need, their workers to find this process at `host`.

    Raises `InputError` when no node can hold a single one.
    """
    nodes = _nodes()
    fits = sum(_trials_on(node, need) for node in nodes)
    if fits == 0:
        raise InputError(_shortages(nodes, need))
    concurrent = min(fits, need.concurrent or fits)
    return Capacity(concurrent, concurrent > 1, host)


def trials_per_gpu(need: TrialResources) -> int:
    """How many trials there are to a GPU, whatever its memory: as many as its cores allow, no more than run at once.

    0 where the session has no GPU.
    """
    with_gpu = [node for node in _nodes() if node.get("GPU")]
    if not with_gpu:
        return 0
    by_cores = max(int(node.get("CPU", 0.0) / need.cpus / node["GPU"]) for node in with_gpu)
    if need.concurrent is None:
        return max(1, by_cores)
    gpus = sum(node["GPU"] for node in with_gpu)
    return max(1, min(by_cores, math.ceil(need.concurrent / gpus)))


def _nodes() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _trials_on(node: dict[str, float], need: TrialResources) -> int:
    by_cpu = int((node.get("CPU", 0.0) + 1e-9) // need.cpus)
    return min(by_cpu, int((node.get("GPU", 0.0) + 1e-9) // need.gpus)) if need.gpus else by_cpu


def _shortages(nodes: list[dict[str, float]], need: TrialResources) -> list[Problem]:
    problems = []
    for name, asked in (("CPU", need.cpus), ("GPU", need.gpus)):
        most = max((node.get(name, 0.0) for node in nodes), default=0.0)
        if asked > most:
            where = f"resources.{name.lower()}s"
            problems.append(
                Problem(where, f"{asked:g} asked", f"the largest node of the cluster has {most:g}")
            )
    return problems or [Problem("resources", "no node has both", "ask for fewer cpus or gpus a trial")]
