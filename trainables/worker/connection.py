"""The connection between a worker and its driver: an object there and a reply back take a tenth of a millisecond.

It is the standard library's `multiprocessing.connection`. A result and the next task take Ray Tune four milliseconds
and more, and an actor of Ray three, in which the worker would wait.
"""

from __future__ import annotations

import hmac
import pickle
import socket
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection as MessageStream
from multiprocessing.connection import answer_challenge, deliver_challenge
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_SECS = 60.0
MAX_MESSAGE_BYTES = 2**28


# A connection is silent for as long as an epoch takes; firewalls drop those that are silent for long.
KEEP_ALIVE_SECS, KEEP_ALIVE_EVERY_SECS = 60, 15
UNREACHED_SECS = 120
"""The connection is lost when the other machine has acknowledged nothing for so long; after a cut of a minute TCP tries
again within this, and Ray has given up a node before."""


class ConnectionLostError(ConnectionError):
    """The other end is gone, was never reached, does not know the key, or sent what is no message."""


@dataclass(frozen=True)
class Address:
    """Where a driver listens, and the key that each end proves to know; the key itself is never sent there."""

    host: str
    port: int
    key: bytes = field(repr=False)


class Connection:
    """One end of a connection, which sends pickled objects. Both ends run this code.

    Every method but `hang_up` and `close` raises ConnectionLostError when the other end is gone or damaged.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.settimeout(None)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_SECS)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEP_ALIVE_EVERY_SECS)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * UNREACHED_SECS)
        self._socket, self._stream = connected, MessageStream(connected.dup().detach())

    def prove_worker(self, key: bytes) -> None:
        """Prove to the driver that this worker knows the key, and have the driver prove it too."""
        with _connection_errors():
            answer_challenge(self._stream, side_key("worker", key))
            deliver_challenge(self._stream, side_key("driver", key))

    def prove_driver(self, key: bytes) -> None:
        """Have a worker prove that it knows the key, then prove it to the worker."""
        with _connection_errors():
            deliver_challenge(self._stream, side_key("worker", key))
            answer_challenge(self._stream, side_key("driver", key))

    def limit_wait(self, secs: float) -> None:
        """Wait for no bytes for longer than `secs`; 0 for no limit."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(secs), 0))

    def send(self, message: object) -> None:
        """Send an object."""
        with _connection_errors():
            self._stream.send_bytes(pickle.dumps(message))

    def receive(self) -> Any:
        """Wait for the other end's next object; only to be called once the other end has proved the key."""
        with _connection_errors():
            message = self._stream.recv_bytes(MAX_MESSAGE_BYTES)
        try:
            return pickle.loads(message)
        except Exception as error:  # damaged bytes raise any of them
            raise ConnectionLostError(f"a message cannot be read: {type(error).__name__}: {error}") from error

    def ask(self, message: object) -> Any:
        """Send an object and wait for the reply."""
        self.send(message)
        return self.receive()

    def hang_up(self) -> None:
        """End the connection from any thread; a `receive` at either end then raises."""
        with suppress(OSError):  # the other end was first
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection and free its descriptors; only for the thread that uses it."""
        self.hang_up()
        self._socket.close()
        self._stream.close()


def connect_to_driver(address: Address) -> Connection:
    """Connect to the driver at an address.

    Raises:
        ConnectionLostError: The driver cannot be reached, or another process listens there; the message says what to
            check.
    """
    where = f"{address.host}:{address.port}"
    try:
        connected = socket.create_connection((address.host, address.port), timeout=CONNECT_SECS)
    except OSError as error:
        raise ConnectionLostError(
            f"this node does not reach the driver at {where} ({error}): let workers through to the driver's ports, "
            "or set TOPRUNG_PORT for the driver to one that is open"
        ) from error
    connection = Connection(connected)
    try:
        connection.limit_wait(CONNECT_SECS)
        connection.prove_worker(address.key)
        connection.limit_wait(0)
    except ConnectionLostError as error:
        connection.close()
        raise ConnectionLostError(f"no driver of this search answers at {where}: {error}") from error
    return connection


def side_key(role: str, key: bytes) -> bytes:
    """The key that one side proves to know: another for each side, or an answer of one could be used as the other's."""
    return hmac.digest(key, role.encode(), "sha256")


@contextmanager
def _connection_errors() -> Iterator[None]:
    try:
        yield
    except AuthenticationError as error:
        raise ConnectionLostError(f"the other end does not know the key ({error})") from error
    except (OSError, EOFError, ValueError, AssertionError) as error:  # the last: it is no challenge
        raise ConnectionLostError(str(error) or "the other end has hung up") from error
