"""The workers of a search as its driver sees them: a slot for each, and how it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from toprung.trainables.trial.messages import Worker

if TYPE_CHECKING:
    from toprung.trainables.trial.messages import TrialStart


class WorkerEnd(Enum):
    """How a worker ended."""

    SHUT_DOWN = "it was told to, or was never needed"
    DIED = "its process ended by itself"
    NODE_DIED = "its node died under it"


@dataclass
class WorkerSlot:
    """One worker: still to start, or connected.

    Attributes:
        start: The trial that it trains; None before it connects and while it waits for one.
        is_connected: Whether it has connected.
        is_leaving: Whether it was told to shut down, or is to be killed.
        silent_since_secs: When it last sent word or was told what to do; infinite while nothing is due from it.
        worker: Its process, once it has connected.
    """

    start: TrialStart | None = None
    is_connected: bool = False
    is_leaving: bool = False
    silent_since_secs: float = math.inf
    worker: Worker = field(default_factory=Worker)


class WorkerSlots(dict[str, WorkerSlot]):
    """The open slots by name."""

    @property
    def connected(self) -> int:
        """Workers that are here and stay."""
        return sum(slot.is_connected and not slot.is_leaving for slot in self.values())

    @property
    def staying(self) -> int:
        """Slots whose workers were not told to shut down, whether they are here or not."""
        return sum(not slot.is_leaving for slot in self.values())

    @property
    def free(self) -> int:
        """Slots that need a trial, their workers here or still to start."""
        return sum(slot.start is None and not slot.is_leaving for slot in self.values())

    @property
    def training(self) -> int:
        """Slots that have a trial."""
        return sum(slot.start is not None for slot in self.values())
