"""What the repairs of a run have lost, so that it is not taken for new damage."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from toprung.trainables.system.storage import Storage

REPAIRS_FILE = "repairs.json"


def trials_without_epochs(storage: Storage) -> frozenset[str]:
    """The ended trials of which a repair has lost epochs."""
    return frozenset(name for repair in _repairs(storage) for name in repair["trials_without_epochs"])


def log_repair(storage: Storage, lines: Sequence[str], without_epochs: Iterable[str]) -> None:
    """Add one repair: what it has said, and the ended trials of which epochs are lost."""
    repair = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "lost": list(lines),
        "trials_without_epochs": sorted(without_epochs),
    }
    content = json.dumps([*_repairs(storage), repair], indent=2)
    storage.put(REPAIRS_FILE, content.encode())


def _repairs(storage: Storage) -> list[dict[str, Any]]:
    try:
        found = json.loads(bytes(storage.read(REPAIRS_FILE)))
    except (FileNotFoundError, ValueError):
        return []
    is_log = isinstance(found, list) and all(
        isinstance(one, dict) and isinstance(one.get("trials_without_epochs"), list) for one in found
    )
    return found if is_log else []
