"""MLflow's SQLite file: its URI, how it is made (whole, as a process killed while it makes the tables would leave a
file that can never be used), and how it is written without a file made and deleted for every row."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

SCHEME = "sqlite:///"


def sqlite_uri(file: Path) -> str:
    """The MLflow URI of an SQLite file; the path may hold any character.

    SQLAlchemy takes what follows a `?` for options, and decodes %xx. Where the path holds such characters all of it
    below the root is encoded, slashes too: MLflow makes the folder of the path before it is decoded, here `/`.
    """
    path = str(file.absolute())
    return SCHEME + (f"/{quote(path[1:], safe='')}" if {"?", "%"} & set(path) else path)


def sqlite_file(uri: str) -> Path | None:
    """The file of an MLflow URI, absolute; None for a server."""
    if not uri.startswith(SCHEME):
        return None
    return Path(unquote(uri.removeprefix(SCHEME).partition("?")[0])).absolute()


def artifact_folder(database: Path) -> str:
    """Where MLflow puts files beside an SQLite file, as MLflow takes it: its own default is the working directory."""
    return (database.parent / "mlartifacts").as_uri()


def ensure_database(uri: str) -> None:
    """Make the SQLite file of an MLflow URI under another name, then give it its own; nothing to do for a server.

    Two processes may do this at once: the file of the first one stays.
    """
    path = sqlite_file(uri)
    if path is None or path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        SqlAlchemyStore(sqlite_uri(hidden), artifact_folder(path)).engine.dispose()
        _link(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
        hidden.with_name(f"{hidden.name}-journal").unlink(missing_ok=True)


def _link(hidden: Path, path: Path) -> None:
    try:
        path.hardlink_to(hidden)
    except FileExistsError:
        return
    except OSError:  # this file system has no hard links
        if not path.exists():
            hidden.rename(path)


def keep_journal_file(uri: str) -> None:
    """Let this process keep SQLite's journal file from one transaction to the next; nothing to do for a server.

    Writing takes a third of the time so, and is as safe when a process is killed. A write-ahead log would be no
    quicker, and unsafe on network drives.
    """
    if uri.startswith(SCHEME):
        _keep_journal_files()


@cache
def _keep_journal_files() -> None:
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def keep_journal(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            with closing(connection.cursor()) as cursor:
                cursor.execute("PRAGMA journal_mode = PERSIST")
                cursor.execute("PRAGMA synchronous = NORMAL")
