"""The driver's end of its workers' connections: checks each worker's key and serves it on a thread of its own."""

from __future__ import annotations

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
STRANGER_SECS = 10.0
MAX_STRANGERS = 64
EVICT_AFTER_SECS = 1.0


PORT_VARIABLE = "TOPRUNG_PORT"
"""The environment variable that names the port to listen at; any free one if it is not set."""


@contextmanager
def accept_workers(host: str, serve: Callable[[Connection], None]) -> Iterator[Address]:
    """Accept workers' connections for the block, and close them at its end.

    Args:
        host: The address of this machine at which to listen.
        serve: Called for each worker that has proved to know the key, on a thread of its own; its connection is closed
            when it returns. It may raise ConnectionLostError.

    Raises:
        OSError: The port is taken.
        InputError: The environment names no port.
    """
    server = _WorkerServer(secrets.token_bytes(KEY_BYTES), serve)
    with socket.create_server((host, _port()), backlog=1024) as listener:
        threading.Thread(target=server.accept_from, args=(listener,), daemon=True).start()
        threading.Thread(target=server.watch_strangers, daemon=True).start()
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
    """The open connections of a driver.

    A caller has a place among MAX_STRANGERS until it has proved the key, for STRANGER_SECS at most. Where no place is
    free, those lose theirs that have not done so within EVICT_AFTER_SECS: a worker needs milliseconds.
    """

    def __init__(self, key: bytes, serve: Callable[[Connection], None]) -> None:
        self.key, self._serve = key, serve
        self._connections: set[Connection] = set()
        self._strangers: dict[Connection, float] = {}
        self._strangers_changed = threading.Condition()
        self._is_closed = False

    def accept_from(self, listener: socket.socket) -> None:
        while listener.fileno() >= 0:  # until it is closed
            try:
                self._start_serving(listener.accept()[0])
            except (OSError, RuntimeError):
                # No descriptor or thread is free, or the worker has gone: the next may come.
                time.sleep(RETRY_SECS)

    def watch_strangers(self) -> None:
        """Hang up on each stranger whose time is over, until the connections are closed."""
        with self._strangers_changed:
            while not self._is_closed:
                self._drop_strangers_since(time.monotonic() - STRANGER_SECS)
                oldest = min(self._strangers.values(), default=None)
                self._strangers_changed.wait(oldest and oldest + STRANGER_SECS - time.monotonic())

    def close_connections(self) -> None:
        with self._strangers_changed:
            self._is_closed = True
            self._strangers_changed.notify_all()
        for connection in list(self._connections):
            connection.hang_up()

    def _start_serving(self, accepted: socket.socket) -> None:
        try:
            connection = Connection(accepted)
        except OSError:
            accepted.close()
            raise
        self._take_place(connection)
        try:
            threading.Thread(target=self._serve_until_lost, args=(connection,), daemon=True).start()
        except RuntimeError:
            self._close(connection)
            raise

    def _take_place(self, connection: Connection) -> None:
        with self._strangers_changed:
            while len(self._strangers) >= MAX_STRANGERS and not self._is_closed:
                self._drop_strangers_since(time.monotonic() - EVICT_AFTER_SECS)
                if len(self._strangers) >= MAX_STRANGERS:
                    self._strangers_changed.wait(RETRY_SECS)
            self._strangers[connection] = time.monotonic()
            self._connections.add(connection)
            self._strangers_changed.notify_all()

    def _drop_strangers_since(self, latest_secs: float) -> None:
        for stranger in [one for one, since_secs in self._strangers.items() if since_secs <= latest_secs]:
            stranger.hang_up()
            del self._strangers[stranger]

    def _leave_place(self, connection: Connection) -> None:
        with self._strangers_changed:
            self._strangers.pop(connection, None)
            self._strangers_changed.notify_all()

    def _serve_until_lost(self, connection: Connection) -> None:
        try:
            with suppress(ConnectionLostError):
                connection.prove_driver(self.key)
                self._leave_place(connection)
                self._serve(connection)
        finally:  # or the worker would wait forever
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self._leave_place(connection)
        self._connections.discard(connection)
        connection.close()
