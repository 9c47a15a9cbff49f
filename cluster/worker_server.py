"""The driver's end of its workers' lines: listens, lets in who knows the key, serves each on a thread of its own."""

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
LAST_PORT = 65535
AGAIN_SECS = 0.1


PORT = "TOPRUNG_PORT"
"""The environment variable that names the port to listen at; any free one if it is not set."""


@contextmanager
def accept_workers(host: str, serve: Callable[[Connection], None]) -> Iterator[Address]:
    """Let workers call for the block; `serve` is run for each of them and ends when the line breaks.

    At the block's end the lines are cut. Raises OSError when the port is taken, InputError when it is none.
    """
    key = secrets.token_bytes(KEY_BYTES)
    lines: list[Connection] = []
    with socket.create_server((host, _port()), backlog=1024) as door:
        address = Address(host, door.getsockname()[1], key)
        threading.Thread(target=_let_in, args=(door, key, serve, lines), daemon=True).start()
        try:
            yield address
        finally:
            with suppress(OSError):
                door.shutdown(socket.SHUT_RDWR)  # closing alone does not wake who waits in `accept`
            for line in list(lines):
                line.close()


def _port() -> int:
    given = os.environ.get(PORT, "0")
    if not given.isdecimal() or int(given) > LAST_PORT:
        raise InputError.single(PORT, repr(given), f"must be a port, a whole number up to {LAST_PORT}")
    return int(given)


def _let_in(
    door: socket.socket, key: bytes, serve: Callable[[Connection], None], lines: list[Connection]
) -> None:
    while door.fileno() >= 0:  # until it is closed
        try:
            _begin(door.accept()[0], key, serve, lines)
        except (OSError, RuntimeError):
            # No descriptor or thread is free, or the worker has gone: the next may come.
            time.sleep(AGAIN_SECS)


def _begin(
    connected: socket.socket, key: bytes, serve: Callable[[Connection], None], lines: list[Connection]
) -> None:
    try:
        line = Connection(connected)
    except OSError:
        connected.close()
        raise
    lines.append(line)
    try:
        threading.Thread(target=_attend, args=(line, key, serve, lines), daemon=True).start()
    except RuntimeError:
        _hang_up(line, lines)
        raise


def _attend(
    line: Connection, key: bytes, serve: Callable[[Connection], None], lines: list[Connection]
) -> None:
    try:
        with suppress(ConnectionLostError):
            if hmac.compare_digest(line.receive_key(len(key)), key):
                serve(line)
    finally:  # or the worker would wait for ever
        _hang_up(line, lines)


def _hang_up(line: Connection, lines: list[Connection]) -> None:
    line.close()
    with suppress(ValueError):
        lines.remove(line)
