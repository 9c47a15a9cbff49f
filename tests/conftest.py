"""What the tests of all packages share: a toprung command in a process of its own, and small jobs to give it."""

from __future__ import annotations

import errno
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml

# A busy machine is no failure; and CI tries the same examples every time, so that a red run is about its change.
hypothesis.settings.register_profile("toprung", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("toprung")

# Scripts run what stands in their background with interrupts ignored, and so would the commands started here.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"


class Command:
    """A `toprung` process in its own session, so that a signal reaches it alone and leftovers can be found."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None, cwd: Path = ROOT) -> None:
        settings = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self.marker = f"toprung-test-{os.getpid()}-{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "toprung.search", *arguments],
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


def laid_over(below: Any, above: Any) -> Any:
    """Two parts of a job as one: what stands above wins, key by key."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{name: laid_over(below.get(name), value) for name, value in above.items()}}


@pytest.fixture
def job_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a small job on the bundled digits: tiny networks, runs in `tmp_path`/runs."""

    def write(name: str = "small", **sections: Any) -> Path:
        content: dict[str, Any] = {
            "data": {"source": "digits", "image_size": 8},
            "space": {
                "fixed": {"blocks": 1, "convs_per_block": 1, "filters": 8, "kernel_size": 3, "dense_units": 0,
                          "batch_norm": False, "pooling": "max", "head": "flatten", "flip": False, "batch_size": 32,
                          "optimizer": "adamw", "filter_growth": 1.0},
                "ranges": {"learning_rate": [0.003, 0.03], "augment": [0.0, 0.3], "weight_decay": [1e-6, 1e-3]},
            },
            "search": {"trials": 6, "max_epochs": 9},
            "resources": {"concurrent": 1},
            "storage": {"path": str(tmp_path / "runs")},
            "tracking": {"enabled": False},
        }  # fmt: skip
        for section, values in sections.items():
            content[section] = laid_over(content.get(section), values)
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


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
