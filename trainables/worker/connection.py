"""The connection between a worker and its driver: an object there and a reply back take a tenth of a millisecond.

Ray Tune takes four milliseconds and more for a result and the next task, in which the worker would wait.
"""

from __future__ import annotations

import pickle
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_SECS = 60.0


# A connection is silent for as long as an epoch takes; firewalls drop those that are silent for long.
KEEP_ALIVE_SECS = 60


class ConnectionLostError(ConnectionError):
    """The other end is gone, or was never reached."""


@dataclass(frozen=True)
class Address:
    """Where a driver listens. `key` keeps strangers out, as Ray's token does: both travel unencrypted."""

    host: str
    port: int
    key: bytes


class Connection:
    """One end of a connection, which sends pickled objects. Both ends run this code; a key precedes the first object.

    Every method but `close` raises ConnectionLostError when the other end is gone.
    """

    def __init__(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_SECS)
        self._socket, self._file = connected, connected.makefile("rwb")

    def send(self, message: object) -> None:
        """Send an object."""
        with _connection_errors():
            self._file.write(pickle.dumps(message))
            self._file.flush()

    def receive(self) -> Any:
        """Wait for the other end's next object."""
        with _connection_errors():
            return pickle.load(self._file)

    def ask(self, message: object) -> Any:
        """Send an object and wait for the reply."""
        self.send(message)
        return self.receive()

    def send_key(self, key: bytes) -> None:
        """Send the key, before any object."""
        with _connection_errors():
            self._file.write(key)
            self._file.flush()

    def receive_key(self, length: int) -> bytes:
        """Wait for a key of this length, before any object; nothing is unpickled."""
        with _connection_errors():
            return self._file.read(length)

    def close(self) -> None:
        """End the connection; a `receive` at either end then raises."""
        with suppress(OSError):  # the other end was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def connect_to_driver(address: Address) -> Connection:
    """Connect to the driver at an address.

    Raises:
        ConnectionLostError: The driver cannot be reached; the message says what to check.
    """
    try:
        connected = socket.create_connection((address.host, address.port), timeout=CONNECT_SECS)
    except OSError as error:
        where = f"{address.host}:{address.port}"
        raise ConnectionLostError(
            f"this node does not reach the driver at {where} ({error}): let workers through to the driver's ports, "
            "or set TOPRUNG_PORT for the driver to one that is open"
        ) from error
    connected.settimeout(None)
    connection = Connection(connected)
    connection.send_key(address.key)
    return connection


@contextmanager
def _connection_errors() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, pickle.UnpicklingError) as error:  # the last: it ended within a message
        raise ConnectionLostError(str(error) or "the other end has hung up") from error
