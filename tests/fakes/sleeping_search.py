"""`toprung search` with trials that sleep in place of training, for what happens to workers, nodes and drivers.

    python tests/fakes/sleeping_search.py search JOB --address ADDRESS

Dispatcher, checkpoints, tables and MLflow are the real ones; no process loads TensorFlow. What a driver waits for in
case somebody comes back takes some seconds here in place of 15 to 60.
"""

from __future__ import annotations

from idle_trial import SleepingTrial  # Ray lets workers import from the folder of the driver's script

from toprung.cluster import head_watch
from toprung.results.tables import run_lock
from toprung.search.cli import main
from toprung.search.workers import fair_share
from toprung.trainables.worker import ray_trainable

LEASE_SECS, RENEW_SECS, HEAD_GONE_SECS, PATIENCE_SECS = 15.0, 1.0, 10.0, 5.0

if __name__ == "__main__":
    ray_trainable.KerasTrial = SleepingTrial  # type: ignore[misc]
    run_lock.LEASE_SECS, run_lock.RENEW_SECS = LEASE_SECS, RENEW_SECS
    head_watch.GONE_SECS = HEAD_GONE_SECS
    fair_share.PATIENCE_SECS = PATIENCE_SECS
    raise SystemExit(main())
