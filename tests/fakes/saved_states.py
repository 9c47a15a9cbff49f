"""What the tests look up in a store of saved states."""

from __future__ import annotations

from toprung.trainables.worker.checkpoints import BEST, Checkpoint, CheckpointStore


def best_state(store: CheckpointStore, trial_id: str, identity: str) -> Checkpoint | None:
    """The best of the states that were saved, which may be the newest."""
    return store.read(trial_id, BEST, identity) or store.load(trial_id, identity)
