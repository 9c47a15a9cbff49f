"""The driver's end of its workers' connections: checks each worker's key and serves it on a thread of its own."""

from __future__ import annotations

import hmac
import os
import secrets
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from toprung.spaces.errors import InputError
from toprung.trainables.worker.connection import Address, Connection, ConnectionLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY_BYTES = 32
HIGHEST_PORT = 65535
RETRY_SECS = 0.1


PORT_VARIABLE = "TOPRUNG_PORT"
"""The environment variable that names the port to listen at; any free one if it is not set."""


@contextmanager
def accept_workers(host: str, serve: Callable[[Connection], None]) -> Iterator[Address]:
    """Accept workers' connections for the block, and close them at its end.

    Args:
        host: The address of this machine at which to listen.
        serve: Called for each worker that knows the key, on a thread of its own; its connection is closed when it
            returns. It may raise ConnectionLostError.

    Raises:
        OSError: The port is taken.
        InputError: The environment names no port.
    """
    server = _WorkerServer(secrets.token_bytes(KEY_BYTES), serve)
    with socket.create_server((host, _port()), backlog=1024) as listener:
        threading.Thread(target=server.accept_from, args=(listener,), daemon=True).start()
        try:
            yield Address(host, listener.getsockname()[1], server.key)
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # closing alone does not wake the thread in `accept`
            server.close_connections()


def _port() -> int:
    given = os.environ.get(PORT_VARIABLE, "0")
    if not given.isdecimal() or int(given) > HIGHEST_PORT:
        raise InputError.single(
            PORT_VARIABLE, repr(given), f"must be a port, a whole number up to {HIGHEST_PORT}"
        )
    return int(given)


class _WorkerServer:
    """The open connections of a driver."""

    def __init__(self, key: bytes, serve: Callable[[Connection], None]) -> None:
        self.key, self._serve = key, serve
        self._connections: list[Connection] = []

    def accept_from(self, listener: socket.socket) -> None:
        while listener.fileno() >= 0:  # until it is closed
            try:
                self._start_serving(listener.accept()[0])
            except (OSError, RuntimeError):
                # No descriptor or thread is free, or the worker has gone: the next may come.
                time.sleep(RETRY_SECS)

    def close_connections(self) -> None:
        for connection in list(self._connections):
            connection.close()

    def _start_serving(self, accepted: socket.socket) -> None:
        try:
            connection = Connection(accepted)
        except OSError:
            accepted.close()
            raise
        self._connections.append(connection)
        try:
            threading.Thread(target=self._serve_until_lost, args=(connection,), daemon=True).start()
        except RuntimeError:
            self._close(connection)
            raise

    def _serve_until_lost(self, connection: Connection) -> None:
        try:
            with suppress(ConnectionLostError):
                if hmac.compare_digest(connection.receive_key(len(self.key)), self.key):
                    self._serve(connection)
        finally:  # or the worker would wait forever
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        connection.close()
        with suppress(ValueError):
            self._connections.remove(connection)
