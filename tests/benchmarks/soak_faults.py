"""The faults of `soak.py`: each kind in turn, some of them at the same time; a round has at most one of the rare."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from soak_cluster import DRIVER, MLFLOW, RAYLET, WORKER, Cluster, hosts

CUT_FOR_GOOD_SECS = 50.0
"""Twice what `soak_cluster.SOONER` gives Ray to find out."""


class Faults:
    """One fault after the other until the search is over; what it takes to mend each happens beside the next ones.

    Attributes:
        survived: How often each kind was carried out.
        preempted: Workers that trained on machines that died or were cut off for good.
        left: Training processes that were alive when their machine had long been cut off, or their driver's lost.
    """

    def __init__(self, cluster: Cluster, seed: int, only: list[str]) -> None:
        self._cluster, self._random = cluster, random.Random(seed)
        self.survived: Counter[str] = Counter()
        self.preempted, self.left = 0, 0
        self._busy: set[hosts.Host] = set()
        self._choosing = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}
        often: dict[str, Callable[[], bool]] = {
            "worker killed": lambda: self._signal_worker(signal.SIGKILL),
            "worker stopped": lambda: self._signal_worker(signal.SIGSTOP),
            "raylet killed": self.kill_raylet,
            "machine frozen": self.freeze_machine,
            "network cut": self.cut_network,
            "driver killed": lambda: bool(cluster.desk.signal(signal.SIGKILL, DRIVER)),
            "MLflow killed": self.kill_mlflow,
            "MLflow stopped": self.stop_mlflow,
            "disk full": self.fill_disk,
        }
        rare: dict[str, Callable[[], bool]] = {
            "machine lost": self.lose_machine,
            "network cut for good": self.cut_for_good,
            "driver's machine lost": self.lose_desk,
        }
        self._kinds = {name: kind for name, kind in {**often, **rare}.items() if name in only or not only}
        self._often = [name for name in often if name in self._kinds]
        self._rare = [name for name in rare if name in self._kinds]

    def run(self, over: threading.Event, every_secs: float) -> None:
        """Carry out a fault every so many seconds."""
        waiting: list[str] = []
        rare = itertools.cycle([[], *([name] for name in self._rare)])
        while not over.wait(every_secs):
            if not waiting:
                waiting = [*self._often, *next(rare)]
                self._random.shuffle(waiting)
                continue
            name = waiting.pop()
            before = self._threads.get(name)
            if before is None or not before.is_alive():
                self._threads[name] = threading.Thread(target=self._carry_out, args=(name,), daemon=True)
                self._threads[name].start()
        for thread in self._threads.values():
            thread.join(2 * CUT_FOR_GOOD_SECS)

    def _carry_out(self, name: str) -> None:
        print(f"{time.strftime('%H:%M:%S')}  {name}", flush=True)
        if self._kinds[name]():
            self.survived[name] += 1

    def kill_raylet(self) -> bool:
        with self._node() as node:
            if node is None or not self._count_preempted(node) or not node.signal(signal.SIGKILL, RAYLET):
                return False
            time.sleep(2)
            self._cluster.join_again(node)
        return True

    def lose_machine(self) -> bool:
        with self._node() as node:
            if node is None:
                return False
            self._count_preempted(node)
            self._cluster.replace(node)
        return True

    def freeze_machine(self) -> bool:
        with self._node() as node:
            if node is None:
                return False
            node.freeze()
            time.sleep(self._random.uniform(4, 10))
            node.thaw()
        return True

    def cut_network(self) -> bool:
        with self._node() as node:
            if node is None:
                return False
            node.cut()
            time.sleep(self._random.uniform(5, 20))
            node.heal()
            time.sleep(5)
            if not node.processes(RAYLET):
                self._cluster.join_again(node)
        return True

    def cut_for_good(self) -> bool:
        with self._node() as node:
            if node is None:
                return False
            self._count_preempted(node)
            node.cut()
            time.sleep(CUT_FOR_GOOD_SECS)
            self.left += len(node.processes(WORKER))
            self._cluster.replace(node)
        return True

    def lose_desk(self) -> bool:
        cluster = self._cluster
        before = [process for node in cluster.nodes for process in node.processes(WORKER)]
        cluster.desk.die()
        cluster.desk = cluster.new_machine(0)
        time.sleep(CUT_FOR_GOOD_SECS)
        self.left += sum(process.is_running() and process.status() != "stopped" for process in before)
        return True

    def kill_mlflow(self) -> bool:
        killed = self._cluster.head.signal(signal.SIGKILL, MLFLOW)
        time.sleep(3)
        self._cluster.start_mlflow()
        return bool(killed)

    def stop_mlflow(self) -> bool:
        stopped = self._cluster.head.signal(signal.SIGSTOP, MLFLOW)
        time.sleep(12)
        self._cluster.head.signal(signal.SIGCONT, MLFLOW)
        return bool(stopped)

    def fill_disk(self) -> bool:
        ballast = self._cluster.disk / "ballast"
        with suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(b"0" * 2**20)
        time.sleep(4)
        ballast.unlink()
        return True

    def _signal_worker(self, number: int) -> bool:
        with self._node() as node:
            workers = node.processes(WORKER) if node else []
            if not workers:
                return False
            with suppress(ProcessLookupError):
                os.kill(self._random.choice(workers).pid, number)
        return True

    def _count_preempted(self, node: hosts.Host) -> bool:
        self.preempted += len(node.processes(WORKER))
        return True

    @contextmanager
    def _node(self) -> Iterator[hosts.Host | None]:
        """A machine to which nothing else happens, of which another is left."""
        with self._choosing:
            free = [node for node in self._cluster.nodes if node not in self._busy]
            node = self._random.choice(free) if len(free) > 1 else None
            if node:
                self._busy.add(node)
        try:
            yield node
        finally:
            with self._choosing:
                self._busy.discard(node)  # type: ignore[arg-type]
