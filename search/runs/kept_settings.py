"""The settings that a run keeps for life, recorded beside its job file: what is changed there by hand is noticed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from toprung.search.runs.allowed_changes import may_change
from toprung.spaces.errors import InputError, Problem, shown

if TYPE_CHECKING:
    from toprung.search.jobs.schema import Job
    from toprung.trainables.system.storage import Storage

SETTINGS_FILE = "settings.json"


def record_settings(storage: Storage, job: Job) -> None:
    """Record those settings of the job that no continuation may change."""
    kept = {key: value for key, value in job.settings().items() if not may_change(key)}
    storage.put(SETTINGS_FILE, f"{json.dumps(kept, indent=1)}\n".encode())


def check_settings(storage: Storage, job: Job, file: str) -> None:
    """Raise InputError with each setting of a run's job that is not the recorded one.

    A run of an earlier version has no record, and a record lacks the settings of later versions: neither is checked.

    Args:
        storage: The run folder.
        job: Its job, as its job file has it now.
        file: The name of that file in messages.
    """
    recorded, now = _recorded(storage), job.settings()
    changed = [key for key in recorded if key in now and _text(recorded[key]) != _text(now[key])]
    if changed:
        allowed = f"put it back: the tables are of the job that {SETTINGS_FILE} records"
        raise InputError(
            Problem(f"{file}: {key}", f"is {shown(now[key])} and was {shown(recorded[key])}", allowed)
            for key in changed
        )


def _recorded(storage: Storage) -> dict[str, Any]:
    try:
        recorded = json.loads(bytes(storage.read(SETTINGS_FILE)))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        recorded = None
    if not isinstance(recorded, dict):
        given = f"{SETTINGS_FILE} of {storage.root} is damaged"
        raise InputError.single("RUN", given, "restore it, or remove it if nobody has changed the job file")
    return recorded


def _text(value: Any) -> str:
    """Equal for equal values, NaN included, and for a tuple and the list that JSON makes of it."""
    return json.dumps(value, sort_keys=True)
