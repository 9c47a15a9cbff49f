"""MLflow's files after their folder was moved or copied.

MLflow writes whole paths into its database, and makes whole paths of relative ones. They are brought up to date when
the database is opened in another folder, where its files lie beside it as before.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from toprung.results.tracking.mlflow.sqlite import artifact_folder, sqlite_file

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
BUSY_SECS = 20.0


def follow_moved_folder(uri: str) -> None:
    """Point the paths in an SQLite file of MLflow at the files beside it; nothing to do for a server.

    Only paths into a folder of the same name are changed, and only while that folder lies beside the database.
    """
    database = sqlite_file(uri)
    if database is None or not database.exists():
        return
    here = artifact_folder(database)
    folder_name = here.rpartition("/")[2]
    if not (database.parent / folder_name).is_dir():
        return
    with closing(sqlite3.connect(database, timeout=BUSY_SECS)) as connection, connection:
        present = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        columns = [(table, column) for table, column in COLUMNS if table in present]
        for moved in {prefix for each in columns for prefix in _prefixes(connection, each, folder_name)}:
            if Path(unquote(urlsplit(moved).path)) != database.parent / folder_name:
                _replace(connection, columns, moved, here)


def _prefixes(connection: sqlite3.Connection, place: tuple[str, str], folder_name: str) -> Iterator[str]:
    """The folders of artifacts that a column names, each as it is written there."""
    table, column = place
    for (location,) in connection.execute(f"SELECT DISTINCT {column} FROM {table}"):
        before, slash, after = (location or "").partition(f"/{folder_name}")
        if slash and before.startswith(("file:", "/")) and after[:1] in ("", "/"):
            yield before + slash


def _replace(connection: sqlite3.Connection, columns: list[tuple[str, str]], moved: str, here: str) -> None:
    for table, column in columns:
        rest = len(moved) + 1
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
            (here, rest, moved, rest, f"{moved}/"),
        )
