"""Draws from an Optuna define-by-run space: samplers, points and distributions."""
