"""What the tests of all packages share: a toprung command in a process of its own, small jobs to give it, and a Ray
cluster."""

from __future__ import annotations

import contextlib
import errno
import os
import runpy
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest
from small_job import write_job

# A busy machine is no failure; and CI tries the same examples every time, so that a red run is about its change.
hypothesis.settings.register_profile("toprung", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("toprung")

# Scripts run what stands in their background with interrupts ignored, and so would the commands started here.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
TOPRUNG = ("-P", "-m", "toprung.search")
SHARED_DATA = ROOT.parent / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of slow tests where several processes share them: none is left with one at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def signal_handlers_kept() -> Iterator[None]:
    """What a test does to interrupts ends with it: Ray Tune leaves a handler of its own, commands one for SIGTERM."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        if handler is not None:  # one that Python did not set
            signal.signal(number, handler)


class Command:
    """A `toprung` process in its own session, so that a signal reaches it alone and leftovers can be found."""

    def __init__(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        cwd: Path = ROOT,
        program: Sequence[str] = TOPRUNG,
    ) -> None:
        settings = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.marker = f"toprung-test-{os.getpid()}-{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=cwd,
            env={**settings, "TOPRUNG_TEST_MARKER": self.marker},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait(self, timeout_secs: float = 240) -> subprocess.CompletedProcess[str]:
        out, err = self.process.communicate(timeout=timeout_secs)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def alive(self) -> list[str]:
        """Command lines of the living processes that this command started, itself included."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and self._started(entry):
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        return found

    def _started(self, entry: Path) -> bool:
        try:
            return (
                self.marker in (entry / "environ").read_text()
                and "State:\tZ" not in (entry / "status").read_text()
            )
        except (OSError, UnicodeDecodeError):
            return False

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Cluster:
    """A Ray cluster of two nodes with one CPU each on this machine, which asks for a token, on ports of its own."""

    def __init__(self, folder: Path) -> None:
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        self.port, self.dashboard = free_port(), free_port()
        # Workers find toprung where it is installed, as they would on another machine.
        clean = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "RAY_ADDRESS")
        }
        self.env = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token),
                    "RAY_GRAFANA_HOST": "", "RAY_USAGE_STATS_ENABLED": "0",
                    "RAY_worker_niceness": "0", "RAY_prestart_worker_first_driver": "0"}  # fmt: skip
        self.joined_env = {**self.env, "RAY_ADDRESS": f"127.0.0.1:{self.port}"}
        # Nodes of one machine would clear each other's copies of a job's working directory, and Ray tells a submitted
        # job the address of the latest cluster that the head's folder names. Sockets want short paths.
        self._temps = tempfile.mkdtemp(prefix="ray-"), tempfile.mkdtemp(prefix="ray-")
        self._nodes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._start_node(
            "--head", f"--temp-dir={self._temps[0]}", f"--port={self.port}",
            f"--dashboard-port={self.dashboard}", "--dashboard-host=127.0.0.1",
            "--include-dashboard=true", f"--ray-client-server-port={free_port()}",
        )  # fmt: skip
        self._wait_for_head()
        self._start_node(f"--address=127.0.0.1:{self.port}", f"--temp-dir={self._temps[1]}")
        self._wait_for_nodes()

    def stop(self) -> None:
        for node in self._nodes:
            started = [*psutil.Process(node.pid).children(recursive=True), psutil.Process(node.pid)]
            for process in started:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            node.wait()
        for folder in self._temps:
            shutil.rmtree(folder, ignore_errors=True)

    def _start_node(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1",
                   "--disable-usage-stats", "--include-log-monitor=false",
                   f"--dashboard-agent-listen-port={free_port()}", *arguments]  # fmt: skip
        self._nodes.append(
            subprocess.Popen(
                command, env=self.env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )

    def _wait_for_head(self, timeout_secs: float = 60) -> None:
        deadline = time.monotonic() + timeout_secs
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.2)
        raise AssertionError(f"the head did not come up in {timeout_secs:g} s")

    def _wait_for_nodes(self, timeout_secs: float = 120) -> None:
        script = (
            "import ray, time; ray.init(address='auto')\n"
            f"while sum(node['Alive'] for node in ray.nodes()) < {len(self._nodes)}: time.sleep(0.2)"
        )
        ready = subprocess.run(
            [sys.executable, "-c", script],
            env=self.joined_env,
            capture_output=True,
            text=True,
            timeout=timeout_secs,
        )
        assert ready.returncode == 0, f"the nodes did not come up: {ready.stderr[-2000:]}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for every test that needs none of its own."""
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def toprung() -> Iterator[Callable[..., Command]]:
    """Start toprung commands; whatever still runs at the end of the test is killed."""
    started: list[Command] = []

    def start(*arguments: str, **settings: Any) -> Command:
        command = Command(*map(str, arguments), **settings)
        started.append(command)
        return command

    yield start
    for command in started:
        command.stop()


@pytest.fixture
def on_cluster(toprung: Callable[..., Command], cluster: Cluster) -> Callable[..., Command]:
    """Start toprung commands whose searches join the running cluster, which takes half the time of starting Ray."""

    def start(*arguments: str, env: dict[str, str] | None = None, **settings: Any) -> Command:
        return toprung(*arguments, env={**cluster.joined_env, **(env or {})}, **settings)

    return start


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Take the right to list a folder away, until the test ends; for root, whom no mode stops, the system refuses."""
    listed: list[Path] = []
    scandir, listdir = os.scandir, os.listdir

    def refusing(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def answer(path: Any = ".") -> Any:
            if not isinstance(path, int) and Path(path) in listed:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return ask(path)

        return answer

    def take(folder: Path) -> None:
        listed.append(folder)
        folder.chmod(0)

    if os.geteuid() == 0:
        monkeypatch.setattr("os.scandir", refusing(scandir))
        monkeypatch.setattr("os.listdir", refusing(listdir))
    yield take
    for folder in listed:
        folder.chmod(0o700)


@pytest.fixture
def job_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a small job on the bundled digits: tiny networks, runs in `tmp_path`/runs."""
    return partial(write_job, tmp_path)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty object store on loopback (see s3_server.py), with the credentials in this process's environment."""
    for name, value in {
        "ACCESS_KEY_ID": "a",
        "SECRET_ACCESS_KEY": "b",
        "EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    server = runpy.run_path(str(ROOT / "tests" / "s3_server.py"))["S3Server"]()
    yield server
    server.close()
