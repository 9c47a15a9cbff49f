"""The driver goes on accepting workers whatever goes wrong with one, and no worker waits for a driver that is gone."""

from __future__ import annotations

import errno
import queue
import socket
import threading
import time
from typing import Any

import pytest

from toprung.cluster.worker_server import accept_workers
from toprung.spaces.errors import InputError
from toprung.trainables.worker.connection import Address, Connection, ConnectionLostError, connect_to_driver

pytestmark = pytest.mark.timeout(60)


def greet(connection: Connection) -> None:
    connection.send("welcome")


def failing_once(action: Any, error: Exception) -> Any:
    """The same action, which raises at its first call."""
    errors = [error]

    def attempt(*given: Any, **named: Any) -> Any:
        if errors:
            raise errors.pop()
        return action(*given, **named)

    return attempt


def test_workers_are_accepted_after_the_descriptors_ran_out_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = OSError(errno.EMFILE, "Too many open files")
    monkeypatch.setattr("socket.socket.accept", failing_once(socket.socket.accept, error))
    with accept_workers("127.0.0.1", greet) as address:
        assert connect_to_driver(address).receive() == "welcome"


def test_a_worker_that_is_gone_before_it_is_accepted_keeps_no_other_out(
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


def test_a_worker_for_whom_there_is_no_thread_is_sent_away_and_the_next_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with accept_workers("127.0.0.1", greet) as address:
        start = failing_once(threading.Thread.start, RuntimeError("can't start new thread"))
        monkeypatch.setattr("threading.Thread.start", start)
        with pytest.raises(ConnectionLostError):
            connect_to_driver(address).receive()
        assert connect_to_driver(address).receive() == "welcome"


def test_a_worker_loses_its_connection_whatever_went_wrong_at_the_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors: queue.Queue[Any] = queue.Queue()
    monkeypatch.setattr("threading.excepthook", errors.put)

    def fail(connection: Connection) -> None:
        raise ValueError("nobody thought of this")

    with accept_workers("127.0.0.1", fail) as address, pytest.raises(ConnectionLostError):
        connect_to_driver(address).receive()
    assert errors.get().exc_type is ValueError, "and nothing hides the error"


def test_nothing_is_unpickled_for_a_stranger() -> None:
    received: list[Any] = []

    def serve(connection: Connection) -> None:
        received.append(connection.receive())
        connection.send("welcome")

    with accept_workers("127.0.0.1", serve) as address:
        stranger = connect_to_driver(Address(address.host, address.port, bytes(len(address.key))))
        with pytest.raises(ConnectionLostError):
            stranger.ask("stranger")
        assert connect_to_driver(address).ask("worker") == "welcome"
    assert received == ["worker"]


def test_a_long_message_arrives_complete() -> None:
    def echo(connection: Connection) -> None:
        connection.send(connection.receive())

    long = [float(number) for number in range(200_000)]
    with accept_workers("127.0.0.1", echo) as address:
        assert connect_to_driver(address).ask(long) == long


def test_a_driver_that_cannot_be_reached_says_what_to_do() -> None:
    with accept_workers("127.0.0.1", lambda connection: None) as address:
        pass
    with pytest.raises(ConnectionLostError, match="TOPRUNG_PORT"):
        connect_to_driver(address)


def test_the_connections_are_closed_when_the_driver_stops_listening() -> None:
    with accept_workers("127.0.0.1", lambda connection: connection.receive()) as address:
        connection = connect_to_driver(address)
        time.sleep(0.05)
    with pytest.raises(ConnectionLostError):
        connection.receive()


@pytest.mark.parametrize("given", ["abc", "-1", "70000", ""])
def test_a_port_that_is_none_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("TOPRUNG_PORT", given)
    with (
        pytest.raises(InputError, match=r"TOPRUNG_PORT.*65535"),
        accept_workers("127.0.0.1", lambda connection: None),
    ):
        pass
