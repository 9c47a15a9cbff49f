"""Hosts for tests of clusters: Linux namespaces with processes, addresses and names of their own, on one switch.

A host dies, freezes or loses its network as a machine would, and nothing of it reaches the network of this machine.
Ray needs the namespace of processes: `ray.init` looks for "its" raylet among the processes that it sees.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

_SUBNET = "10.213.77"
START_SECS, STARTS = 120, 4
_NEEDED = ("ip", "unshare", "nsenter")


def why_no_hosts() -> str | None:
    """Why this machine cannot make hosts, None where it can."""
    missing = [name for name in _NEEDED if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--mount-proc",
         "ip", "link", "add", "type", "veth"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    return None if tried.returncode == 0 else f"namespaces are not allowed here: {tried.stderr.strip()}"


class Host:
    """One machine of the test: an address, a name, and the processes started on it."""

    def __init__(self, name: str, address: str, switch: Switch, port: str) -> None:
        self.name, self.address, self._switch, self._port = name, address, switch, port
        self._started: list[subprocess.Popen[str]] = []
        self._init = subprocess.Popen(
            ["unshare", "--net", "--pid", "--mount", "--uts", "--fork", "--kill-child", "--mount-proc",
             "sh", "-c", f"hostname {name}; trap '' HUP; while :; do sleep 3600 & wait; done"],
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.pid = self._first_child()
        switch.plug(self)
        self._enter("ip", "link", "set", "lo", "up")
        self._enter("ip", "address", "add", f"{address}/24", "dev", "eth0")
        self._enter("ip", "link", "set", "eth0", "up")

    def start(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command on the host; with `log` its output goes there, else to pipes."""
        out = log.open("a") if log else subprocess.PIPE
        try:
            started = subprocess.Popen(
                ["nsenter", "--target", str(self.pid), "--net", "--pid", "--mount", "--uts",
                 f"--wd={cwd or Path.cwd()}", *command],
                env=dict(env), stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT if log else subprocess.PIPE, text=True, start_new_session=True,
            )  # fmt: skip
            self._started.append(started)
            return started
        finally:
            if log:
                out.close()  # type: ignore[union-attr]

    def run(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        timeout_secs: float = 240,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the host to its end."""
        started = self.start(command, env, cwd=cwd)
        try:
            out, err = started.communicate(timeout=timeout_secs)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL, " ".join(command[-3:]))
            started.kill()
            raise
        return subprocess.CompletedProcess(list(command), started.returncode, out, err)

    def processes(self, containing: str = "") -> list[psutil.Process]:
        """The living processes of the host whose command line holds a text, its first process left out."""
        found: list[psutil.Process] = []
        if not self.is_alive:  # its number may be that of any process of this machine by now
            return found
        for process in psutil.Process(self.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_ZOMBIE and containing in " ".join(process.cmdline()):
                    found.append(process)
        # What nsenter started is no child of the first process: it is found by its namespace.
        own = str(Path(f"/proc/{self.pid}/ns/pid").readlink())
        assert own != str(Path("/proc/self/ns/pid").readlink()), "a host has a namespace of its own"
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
                is_here = (
                    process.pid != self.pid and str(Path(f"/proc/{process.pid}/ns/pid").readlink()) == own
                )
                alive = is_here and process.status() != psutil.STATUS_ZOMBIE
                if alive and containing in " ".join(process.cmdline()) and process not in found:
                    found.append(process)
        return found

    def signal(self, number: int, containing: str) -> int:
        """Send a signal to the processes whose command line holds a text; returns how many there were."""
        found = self.processes(containing)
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return len(found)

    @property
    def is_alive(self) -> bool:
        """Whether the machine runs."""
        return self._init.poll() is None

    def freeze(self) -> None:
        """Stop every process, as a virtual machine that is suspended."""
        self.signal(signal.SIGSTOP, "")

    def thaw(self) -> None:
        """Let every process go on."""
        self.signal(signal.SIGCONT, "")

    def cut(self) -> None:
        """Take the host off the network."""
        self._switch.set_link(self._port, "down")

    def heal(self) -> None:
        """Bring the host back to the network."""
        self._switch.set_link(self._port, "up")

    def die(self) -> None:
        """End the machine at once: its first process takes all others with it."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._init.kill()
        self._init.wait()
        for started in self._started:  # nsenter stops itself with what it has started, and would stay so
            started.kill()

    def _enter(self, *command: str) -> None:
        subprocess.run(["nsenter", "--target", str(self.pid), "--net", "--uts", *command], check=True)

    def _first_child(self) -> int:
        for _ in range(500):
            if children := psutil.Process(self._init.pid).children():
                return int(children[0].pid)
            time.sleep(0.01)
        raise RuntimeError("the host did not start")


class Switch:
    """A bridge in a network namespace of its own, which hosts are plugged into."""

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], start_new_session=True)
        while Path(f"/proc/{self._keeper.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            time.sleep(0.01)
        self._numbers = itertools.count(1)
        self.hosts: list[Host] = []
        self._run("ip", "link", "add", "bridge0", "type", "bridge")
        self._run("ip", "link", "set", "bridge0", "up")

    def host(self, name: str) -> Host:
        """A new host with the next address."""
        number = next(self._numbers)
        host = Host(name, f"{_SUBNET}.{number}", self, f"port{number}")
        self.hosts.append(host)
        return host

    def plug(self, host: Host) -> None:
        """Lead a cable from the switch to a host's eth0."""
        port = host._port
        self._run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(host.pid))
        self._run("ip", "link", "set", port, "master", "bridge0")
        self.set_link(port, "up")

    def set_link(self, port: str, state: str) -> None:
        """Bring a port up or down."""
        self._run("ip", "link", "set", port, state)

    def close(self) -> None:
        """End every host and the switch."""
        for host in self.hosts:
            host.die()
        self._keeper.kill()
        self._keeper.wait()

    def _run(self, *command: str) -> None:
        subprocess.run(["nsenter", "--target", str(self._keeper.pid), "--net", *command], check=True)


def ray_start(host: Host, env: Mapping[str, str], folder: Path, *arguments: str) -> None:
    """Start a Ray node on a host, again where a busy machine is too slow for it; its files go to the folder."""
    log = folder / f"{host.name}.log"
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--node-ip-address={host.address}",
               "--disable-usage-stats", "--include-log-monitor=false",
               f"--temp-dir={folder}/{host.name}", *arguments]  # fmt: skip
    for _ in range(STARTS):
        log.unlink(missing_ok=True)
        node, deadline = host.start(command, env, log), time.monotonic() + START_SECS
        while node.poll() is None and time.monotonic() < deadline:
            if "Ray runtime started" in log.read_text():
                return
            time.sleep(0.1)
        host.signal(signal.SIGKILL, "")
        node.kill()
        if not host.is_alive:
            return
    raise RuntimeError(f"Ray did not start on {host.name}: {log.read_text()}")


def is_alive(process: psutil.Process) -> bool:
    """Whether a process has not ended; one that is stopped has not."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def wait_until(ready: Callable[[], object], state: Callable[[], str], secs: float = 150) -> float:
    """Wait until something is so; returns for how many seconds. Fails with the state that it is in then."""
    began = time.monotonic()
    while not ready():
        assert time.monotonic() - began < secs, state()
        time.sleep(0.2)
    return time.monotonic() - began
