"""How the last driver of a run ended: a small file in the run folder, absent while one works or if it was killed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self, cast, get_args

from toprung.trainables.system.storage import Root, Storage

if TYPE_CHECKING:
    from collections.abc import Mapping

Status = Literal["FINISHED", "KILLED", "FAILED"]
END_FILE = "search_end.json"


@dataclass(frozen=True)
class SearchEnd:
    """How a search ended, in MLflow's words.

    Attributes:
        status: FINISHED, KILLED where it was interrupted, FAILED where it cannot go on as it is.
        ended_at: When.
        reason: What ended it, empty where all trials have ended.
    """

    status: Status
    ended_at: datetime
    reason: str = ""

    @classmethod
    def now(cls, status: Status, reason: str = "") -> Self:
        """An end at this moment."""
        return cls(status, datetime.now(UTC), reason)

    @classmethod
    def from_dict(cls, content: Mapping[str, str]) -> Self:
        """The end that `as_dict` has made a dict of. Raises KeyError and ValueError."""
        status = content["status"]
        if status not in get_args(Status):
            raise ValueError(f"{status} is no status")
        ended_at = datetime.fromisoformat(content["ended_at"])
        return cls(cast("Status", status), ended_at, content["reason"])

    def as_dict(self) -> dict[str, str]:
        """As texts."""
        return {"status": self.status, "ended_at": self.ended_at.isoformat(), "reason": self.reason}

    def write(self, root: Root) -> None:
        """Put it into the run folder. Raises OSError."""
        Storage.at(root).put(END_FILE, json.dumps(self.as_dict()).encode())

    @classmethod
    def read(cls, root: Root) -> Self | None:
        """That of the run folder, None without one or where it cannot be read."""
        try:
            return cls.from_dict(json.loads(bytes(Storage.at(root).read(END_FILE))))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def forget(root: Root) -> None:
        """Remove it: from now on a search works. Raises OSError."""
        Storage.at(root).delete(END_FILE)
