"""Whether MLflow can write at a job's `tracking.uri`: what can never be an address, and what does not answer now."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from toprung.results.tracking.mlflow.sqlite import sqlite_file
from toprung.spaces.errors import InputError, first_line
from toprung.trainables.system.uris import is_uri, mask_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from toprung.search.jobs.schema import Job

WHERE = "tracking.uri"
ADDRESSES = "http://HOST:5000, sqlite:////folder/mlflow.db, or another database; null for SQLite inside the run folder"
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
ANSWER_SECS = 3.0
DATABRICKS = "databricks"
_TRUE = ("true", "1")


def check_tracking(job: Job) -> None:
    """Raise InputError for a `tracking.uri` at which MLflow can write nothing, whatever answers there."""
    uri = job.tracking.uri
    if uri is None or not job.tracking.enabled or uri == DATABRICKS:
        return
    if not is_uri(uri) or uri.startswith("file:"):
        _refuse_folder(uri)
    elif (file := sqlite_file(uri)) is not None:
        _refuse_no_file(uri, file)
    elif _scheme(uri) in PORTS:
        _refuse_no_host(uri)


def tracking_notes(job: Job) -> Iterator[str]:
    """A line where the server of `tracking.uri` does not answer from here: the cluster may still reach it."""
    uri = job.tracking.uri
    if uri is None or not job.tracking.enabled or _scheme(uri) not in PORTS:
        return
    address = urlsplit(uri)
    try:
        port = address.port or PORTS[_scheme(uri)]
        socket.create_connection((address.hostname or "", port), timeout=ANSWER_SECS).close()
    except OSError as error:
        reason = first_line(getattr(error, "strerror", None) or error)
        yield (
            f"MLflow at {mask_secrets(uri)} does not answer ({reason}): a search goes on without it, and `toprung sync "
            "RUN` writes later what it lacks"
        )


def _refuse_folder(uri: str) -> None:
    if os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() not in _TRUE:
        given = f"{uri!r} is taken for a folder, and MLflow writes into none"
        raise InputError.single(WHERE, given, f"must be {ADDRESSES}")


def _refuse_no_file(uri: str, file: Path) -> None:
    folder = next((path for path in file.parents if path.exists()), file.parent)
    if not uri.removeprefix("sqlite:///").partition("?")[0]:
        problem = "names no file"
    elif file.is_dir():
        problem = "is a folder"
    elif not folder.is_dir():
        problem = f"cannot be made, as {folder} is a file"
    elif not os.access(file if file.exists() else folder, os.W_OK):
        problem = "cannot be written (no permission)"
    else:
        return
    raise InputError.single(WHERE, f"{uri!r} {problem}", "must be a file that can be written")


def _refuse_no_host(uri: str) -> None:
    try:
        address = urlsplit(uri)
        is_address = bool(address.hostname) and not any(map(str.isspace, uri))
        _ = address.port  # raises for what is no number
    except ValueError:
        is_address = False
    if not is_address:
        given = f"{mask_secrets(uri)!r} names no host, or no port that can be"
        raise InputError.single(WHERE, given, f"must be {ADDRESSES}")


def _scheme(uri: str) -> str:
    """The scheme without the driver that a database's may name, as in postgresql+psycopg2."""
    return uri.partition("://")[0].partition("+")[0]
