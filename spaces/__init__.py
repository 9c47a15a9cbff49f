"""What may be chosen: Optuna define-by-run spaces, `space(trial) -> dict`, composed from parts."""
