"""The line between a worker and its driver: an object there and an answer back in a tenth of a millisecond.

A result and the next task take Ray Tune four milliseconds and more, in which the worker would wait.
"""

from __future__ import annotations

import pickle
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

CALL_SECS = 60.0


# A line is silent for as long as an epoch takes; firewalls forget those that are silent for long.
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
    """One end. Objects are pickled: both ends run this code, and the key comes before the first object."""

    def __init__(self, connected: socket.socket) -> None:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE_SECS)
        self._socket, self._file = connected, connected.makefile("rwb")

    def send(self, message: object) -> None:
        """Raises LineBrokenError."""
        with _broken_line():
            self._file.write(pickle.dumps(message))
            self._file.flush()

    def receive(self) -> Any:
        """Wait for the other end's next object. Raises LineBrokenError."""
        with _broken_line():
            return pickle.load(self._file)

    def ask(self, message: object) -> Any:
        """Send, and wait for the answer. Raises LineBrokenError."""
        self.send(message)
        return self.receive()

    def send_key(self, key: bytes) -> None:
        """The first thing a worker says. Raises LineBrokenError."""
        with _broken_line():
            self._file.write(key)
            self._file.flush()

    def receive_key(self, length: int) -> bytes:
        """The first thing a driver hears; nothing is unpickled for it. Raises LineBrokenError."""
        with _broken_line():
            return self._file.read(length)

    def close(self) -> None:
        """End the line; whoever waits at either end hears of it."""
        with suppress(OSError):  # the other end was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def connect_to_driver(address: Address) -> Connection:
    """A line to the driver at an address. Raises LineBrokenError, which says what to look at."""
    try:
        connected = socket.create_connection((address.host, address.port), timeout=CALL_SECS)
    except OSError as error:
        where = f"{address.host}:{address.port}"
        raise ConnectionLostError(
            f"this node does not reach the driver at {where} ({error}): let workers through to the driver's ports, "
            "or set TOPRUNG_PORT for the driver to one that is open"
        ) from error
    connected.settimeout(None)
    line = Connection(connected)
    line.send_key(address.key)
    return line


@contextmanager
def _broken_line() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, pickle.UnpicklingError) as error:  # the last: it ended within a message
        raise ConnectionLostError(str(error) or "the other end has hung up") from error
