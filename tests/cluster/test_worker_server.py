"""The driver goes on accepting workers whatever goes wrong with one, and no worker waits for a driver that is gone."""

from __future__ import annotations

import errno
import os
import pickle
import queue
import socket
import struct
import threading
import time
from multiprocessing.connection import Connection as MessageStream
from multiprocessing.connection import answer_challenge, deliver_challenge
from typing import Any

import pytest

from toprung.cluster.worker_server import accept_workers
from toprung.spaces.errors import InputError
from toprung.trainables.worker.connection import (
    Address,
    Connection,
    ConnectionLostError,
    connect_to_driver,
    side_key,
)

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
        with pytest.raises(ConnectionLostError):
            connect_to_driver(address)
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
        with pytest.raises(ConnectionLostError, match="no driver of this search"):
            connect_to_driver(Address(address.host, address.port, bytes(len(address.key))))
        with socket.create_connection((address.host, address.port)) as stranger:
            stranger.sendall(framed(pickle.dumps("stranger")))
            while stranger.recv(100):
                pass  # until the driver hangs up
        assert connect_to_driver(address).ask("worker") == "welcome"
    assert received == ["worker"]


def test_nothing_is_unpickled_for_a_worker_whose_driver_does_not_know_the_key() -> None:
    with socket.create_server(("127.0.0.1", 0)) as rogue:

        def lie() -> None:
            connected = rogue.accept()[0]
            connected.sendall(framed(b"#CHALLENGE#" + bytes(20)))
            connected.recv(100)
            connected.sendall(framed(b"#WELCOME#"))
            connected.recv(100)
            connected.sendall(framed(b"x" * 16) + framed(pickle.dumps("an order")))

        threading.Thread(target=lie, daemon=True).start()
        with pytest.raises(ConnectionLostError, match="does not know the key"):
            connect_to_driver(Address("127.0.0.1", rogue.getsockname()[1], b"key"))


def test_the_key_is_in_no_message_and_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    send = MessageStream.send_bytes
    monkeypatch.setattr(
        MessageStream, "send_bytes", lambda stream, message: (sent.append(message), send(stream, message))
    )
    with accept_workers("127.0.0.1", greet) as address:
        connect_to_driver(address).receive()
    assert len(sent) >= 6, "two challenges, two answers, two welcomes"
    assert not any(address.key in message for message in sent)
    assert repr(address.key) not in repr(address)


def test_silent_strangers_keep_no_worker_out_and_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toprung.cluster.worker_server.STRANGER_SECS", 1.0)
    monkeypatch.setattr("toprung.cluster.worker_server.EVICT_AFTER_SECS", 0.2)
    with accept_workers("127.0.0.1", greet) as address:
        before = threading.active_count()
        strangers = [socket.create_connection((address.host, address.port)) for _ in range(200)]
        assert connect_to_driver(address).receive() == "welcome"
        assert threading.active_count() - before <= 64 + 2
        for stranger in strangers:
            stranger.settimeout(10)
            while stranger.recv(100):
                pass
            stranger.close()


@pytest.mark.parametrize("damaged", [b"", b"x" * 100, pickle.dumps("whole")[:-1], b"cno.such\nmodule\n."])
def test_a_damaged_message_ends_its_connection_alone(damaged: bytes) -> None:
    def echo(connection: Connection) -> None:
        while True:
            connection.send(connection.receive())

    with accept_workers("127.0.0.1", echo) as address:
        healthy, broken = connect_to_driver(address), proved_stream(address)
        broken.send_bytes(damaged)
        with pytest.raises((EOFError, OSError)):
            broken.recv_bytes()
        assert healthy.ask("still here") == "still here"


def test_a_length_that_cannot_be_ends_its_connection() -> None:
    with accept_workers("127.0.0.1", lambda connection: connection.receive()) as address:
        broken = proved_stream(address)
        os.write(broken.fileno(), struct.pack("!iQ", -1, 2**60))
        with pytest.raises((EOFError, OSError)):
            broken.recv_bytes()


def proved_stream(address: Address) -> MessageStream:
    """A worker's end whose bytes the test chooses."""
    stream = MessageStream(socket.create_connection((address.host, address.port)).detach())
    answer_challenge(stream, side_key("worker", address.key))
    deliver_challenge(stream, side_key("driver", address.key))
    return stream


def framed(message: bytes) -> bytes:
    """A message as `multiprocessing.connection` sends it."""
    return struct.pack("!i", len(message)) + message


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


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the system has no such limit")
def test_a_machine_that_acknowledges_nothing_is_given_up_after_two_minutes() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as end,
    ):
        Connection(end)
        limits = [
            end.getsockopt(socket.IPPROTO_TCP, name)
            for name in (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE)
        ]
    assert limits == [120_000, 60]


@pytest.mark.parametrize("given", ["abc", "-1", "70000", ""])
def test_a_port_that_is_none_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("TOPRUNG_PORT", given)
    with (
        pytest.raises(InputError, match=r"TOPRUNG_PORT.*65535"),
        accept_workers("127.0.0.1", lambda connection: None),
    ):
        pass
