"""A run as other tools open it: an Optuna study."""
