"""A real tracking server behind a connection with faults: nothing is lost, nothing is written twice, nobody waits.

The server is started here and keeps its data in SQLite; TOPRUNG_TEST_MLFLOW_PORT names one of this machine that runs
already, such as one over PostgreSQL.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from toprung.results.tracking.catch_up import bring_up_to_date
from toprung.results.tracking.tracking_settings import Tracking

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Connection:
    """Passes requests on to the server, unless it has a fault.

    `fault` is "" for none, "500", "hangs" (no answer for a minute) or "lost" (the server does what it is asked, and the
    answer is lost). It concerns all requests, or only the one that is to come in `requests_until`.
    """

    def __init__(self, port: int) -> None:
        self.fault, self.requests_until = "", 0
        self._released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.requests_until -= 1
                fault = "" if outer.requests_until > 0 else outer.fault
                if outer.requests_until == 0:
                    outer.fault = ""
                if fault == "500":
                    return self.send_error(500)
                if fault == "hangs":
                    outer._released.wait(60)
                    return self._break_off()
                server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                server.request(self.command, self.path, body, {"Content-Type": "application/json"})
                answer = server.getresponse()
                content = answer.read()
                if fault == "lost":
                    return self._break_off()
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                return None

            do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

            def _break_off(self) -> None:
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self._proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._proxy.daemon_threads = True
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        self.uri = f"http://127.0.0.1:{self._proxy.server_address[1]}"

    def close(self) -> None:
        self._released.set()
        self._proxy.shutdown()
        self._proxy.server_close()


@pytest.fixture(scope="module")
def server_port(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """An `mlflow server` that has started."""
    if running := os.environ.get("TOPRUNG_TEST_MLFLOW_PORT"):
        yield int(running)
        return
    folder, port = tmp_path_factory.mktemp("server"), _free_port()
    store = f"sqlite:///{shutil.copy(empty_database, folder)}"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
               "--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts")]  # fmt: skip
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **quiet}, stdout=log, stderr=log)
    try:
        _wait_until_healthy(server, port, folder / "log")
        yield port
    finally:
        for process in [*psutil.Process(server.pid).children(recursive=True), server]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_until_healthy(
    server: subprocess.Popen[bytes], port: int, log: Path, timeout_secs: float = 120
) -> None:
    deadline = time.monotonic() + timeout_secs
    while time.monotonic() < deadline and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"mlflow server did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture
def connection(server_port: int) -> Iterator[Connection]:
    made = Connection(server_port)
    yield made
    made.close()


@pytest.fixture
def on_server(connection: Connection, tracking: Tracking) -> Tracking:
    """The search of this test, on the server."""
    own = uuid.uuid4().hex
    return replace(tracking, uri=connection.uri, experiment=f"digits {own}", identity=own)


def test_whichever_answer_is_lost_a_second_sync_writes_the_rest_and_nothing_twice(
    connection: Connection, on_server: Tracking, search, run, written
) -> None:
    whole = search.trial([0.5, 0.75])
    live = search.trial([0.125], None)
    run.write()
    for request in range(1, 50):
        own = replace(on_server, experiment=f"{on_server.experiment} {request}", identity=f"{request}")
        connection.fault, connection.requests_until = "lost", request
        with suppress(Exception):  # whatever MLflow raises
            bring_up_to_date(own, run.folder)
        if connection.fault:  # a whole sync takes fewer requests
            break
        bring_up_to_date(own, run.folder)
        last = bring_up_to_date(own, run.folder)
        assert (last.runs, last.written) == (3, 0)
        found = written(own)
        statuses = {trial_id: run.info.status for trial_id, run in found.children.items()}
        assert statuses == {whole: "FINISHED", live: "KILLED"}, f"at request {request}"
        assert found.steps(whole, "val_accuracy") == [(1, 0.5), (2, 0.75)]
        assert found.parent.data.metrics["best_val_accuracy"] == 0.75
    assert 10 < request < 49


@pytest.mark.parametrize("fault", ["500", "hangs"])
def test_a_search_ends_soon_without_its_server_and_a_sync_writes_all_of_it(
    fault: str, connection: Connection, on_server: Tracking, search, run, written
) -> None:
    search.trial([0.5, 0.75])
    run.write()
    connection.fault = fault
    assert not run.tracked(on_server)
    assert any(line.endswith("writes the rest") for line in run.heard)
    connection.fault = ""
    report = bring_up_to_date(on_server, run.folder)
    assert (report.runs, report.written) == (2, 2)
    assert written(on_server).steps("t00000", "val_accuracy") == [(1, 0.5), (2, 0.75)]
