"""MLflow's SQLite file: made whole, as a process killed while it makes the tables would leave a file for ever unusable,
and written without a file made and deleted for every row."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

SCHEME = "sqlite:///"


def ensure_database(uri: str) -> None:
    """Make the SQLite file of an MLflow URI under another name, then give it its own; nothing to do for a server.

    Two processes may do this at once: the first one's file stays.
    """
    path = Path(uri.removeprefix(SCHEME))
    if not uri.startswith(SCHEME) or path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        SqlAlchemyStore(f"{SCHEME}{hidden}", str(path.absolute().parent / "mlartifacts")).engine.dispose()
        _name(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
        hidden.with_name(f"{hidden.name}-journal").unlink(missing_ok=True)


def _name(hidden: Path, path: Path) -> None:
    try:
        path.hardlink_to(hidden)
    except FileExistsError:
        return
    except OSError:  # this file system has no hard links
        if not path.exists():
            hidden.rename(path)


def write_quickly(uri: str) -> None:
    """Let this process keep SQLite's journal from one transaction to the next: a third of the time, and as safe when a
    process is killed; nothing to do for a server. A write-ahead log would be no quicker, and unsafe on network drives.
    """
    if uri.startswith(SCHEME):
        _keep_journals()


@cache
def _keep_journals() -> None:
    from sqlalchemy import Engine, event

    @event.listens_for(Engine, "connect")
    def keep_journal(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            with closing(connection.cursor()) as cursor:
                cursor.execute("PRAGMA journal_mode = PERSIST")
                cursor.execute("PRAGMA synchronous = NORMAL")
