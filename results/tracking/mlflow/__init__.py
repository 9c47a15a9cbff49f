"""A search in MLflow: its own run, a run for each trial, the registered model, and the SQLite file."""
