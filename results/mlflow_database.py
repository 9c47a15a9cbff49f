"""MLflow's SQLite file, made whole: a process killed while it makes the tables would leave a file for ever unusable."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path

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
    SqlAlchemyStore(f"{SCHEME}{hidden}", str(path.absolute().parent / "mlartifacts")).engine.dispose()
    with suppress(FileExistsError):
        path.hardlink_to(hidden)
    hidden.unlink()
