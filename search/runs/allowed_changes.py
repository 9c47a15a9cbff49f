"""Which settings of a run's job may change afterwards: when its search goes on."""

from __future__ import annotations

TRIALS_KEY = "search.trials"

# How much more to spend, where, and what happens afterwards.
_WHEN_CONTINUED = (TRIALS_KEY, "search.budgets", "resources", "storage", "tracking", "retrain", "data.path")


def may_change(key: str) -> bool:
    """Whether the setting of this dotted key may differ when a run is continued."""
    return any(key == section or key.startswith(f"{section}.") for section in _WHEN_CONTINUED)
