"""The driver goes on letting workers in, and no worker waits for one that has hung up."""

from __future__ import annotations

import errno
import queue
import socket
import threading
from typing import Any

import pytest

from toprung.cluster.worker_server import accept_workers
from toprung.trainables.worker.connection import Connection, ConnectionLostError, connect_to_driver

pytestmark = pytest.mark.timeout(60)


def greet(line: Connection) -> None:
    line.send("welcome")


def failing_once(action: Any, error: Exception) -> Any:
    """The same action, which raises at its first call."""
    errors = [error]

    def attempt(*given: Any, **named: Any) -> Any:
        if errors:
            raise errors.pop()
        return action(*given, **named)

    return attempt


def test_workers_come_in_after_the_descriptors_ran_out_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    error = OSError(errno.EMFILE, "Too many open files")
    monkeypatch.setattr("socket.socket.accept", failing_once(socket.socket.accept, error))
    with accept_workers("127.0.0.1", greet) as address:
        assert connect_to_driver(address).receive() == "welcome"


def test_a_worker_that_is_gone_before_it_is_let_in_keeps_no_other_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "toprung.cluster.worker_server.Connection",
        failing_once(Connection, OSError(errno.EINVAL, "Invalid argument")),
    )
    with accept_workers("127.0.0.1", greet) as address:
        gone = connect_to_driver(address)
        with pytest.raises(ConnectionLostError):
            gone.receive()
        assert connect_to_driver(address).receive() == "welcome"


def test_a_worker_for_whom_there_is_no_thread_is_sent_away_and_the_next_comes_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with accept_workers("127.0.0.1", greet) as address:
        start = failing_once(threading.Thread.start, RuntimeError("can't start new thread"))
        monkeypatch.setattr("threading.Thread.start", start)
        with pytest.raises(ConnectionLostError):
            connect_to_driver(address).receive()
        assert connect_to_driver(address).receive() == "welcome"


def test_a_worker_hears_that_its_driver_failed_whatever_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    told: queue.Queue[Any] = queue.Queue()
    monkeypatch.setattr("threading.excepthook", told.put)

    def fail(line: Connection) -> None:
        raise ValueError("nobody thought of this")

    with accept_workers("127.0.0.1", fail) as address, pytest.raises(ConnectionLostError):
        connect_to_driver(address).receive()
    assert told.get().exc_type is ValueError, "and nobody hides the error"
