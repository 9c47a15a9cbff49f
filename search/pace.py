"""How fast a search goes, in the words that people use."""

from __future__ import annotations

from collections import deque

WINDOW_SECS, WINDOW_EPOCHS = 30.0, 10
UNITS = ((1.0, "a second"), (60.0, "a minute"), (3600.0, "an hour"))


class Pace:
    """Epochs a second of late: of the last 30 seconds, or of as long as it takes to see ten epochs."""

    def __init__(self, now_secs: float, epochs: int) -> None:
        self._seen = deque([(now_secs, epochs)])

    def epochs_per_sec(self, now_secs: float, epochs: int) -> float:
        """The rate now that there are so many epochs; times and counts never fall. 0.0 before the first epoch."""
        if epochs > self._seen[-1][1]:
            self._seen.append((now_secs, epochs))
        while len(self._seen) > 1 and _is_enough(now_secs - self._seen[1][0], epochs - self._seen[1][1]):
            self._seen.popleft()
        since, before = self._seen[0]
        return (epochs - before) / (now_secs - since) if now_secs > since else 0.0


def _is_enough(secs: float, epochs: int) -> bool:
    return secs >= WINDOW_SECS and epochs >= WINDOW_EPOCHS


def per_time(per_sec: float) -> str:
    """A rate by the shortest time in which there is one: 2.3 a second, 4.0 a minute, 1.5 an hour."""
    secs, name = next((unit for unit in UNITS if per_sec * unit[0] >= 1.0), UNITS[-1])
    return f"{per_sec * secs:.1f} {name}"


def duration(secs: float) -> str:
    """Seconds as people say them: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = round(secs)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
