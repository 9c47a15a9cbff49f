"""JSON files of a retraining in the run folder, and the record of when the test set was read."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from toprung.spaces.errors import InputError
from toprung.trainables.system.storage import Storage

if TYPE_CHECKING:
    from toprung.search.runs.run_folder import RunFolder

Report = dict[str, Any]
"""The content of a report.json, see `toprung.search.winner.report`."""
READS_FILE = "retrain/test_reads.json"


def check_test_reads(folder: RunFolder) -> None:
    """Raise `InputError` where the record of test reads is damaged."""
    read_json(folder, READS_FILE)


def record_test_read(folder: RunFolder) -> list[str]:
    """Record that the test set is read now; called before it is read.

    Returns:
        The time of every read for this run, this one included.
    """
    reads = [*(read_json(folder, READS_FILE) or []), datetime.now(UTC).isoformat(timespec="seconds")]
    put_json(folder, READS_FILE, reads)
    return reads


def read_json(folder: RunFolder, name: str) -> Any:
    """The content of a JSON file of the run, None without one. Raises `InputError` where it is damaged."""
    try:
        return json.loads(bytes(Storage.at(folder.root).read(name)))
    except FileNotFoundError:
        return None
    except ValueError:
        given = f"{folder.path(name)} is damaged"
        raise InputError.single("RUN", given, "restore it, or remove it to train and test again") from None


def put_json(folder: RunFolder, name: str, content: Any) -> None:
    """Write a JSON file of the run; a number that is not finite is null, since JSON has no other word for it."""
    text = json.dumps(_finite_or_null(content), indent=2, allow_nan=False)
    Storage.at(folder.root).put(name, f"{text}\n".encode())


def _finite_or_null(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite_or_null(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite_or_null(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
