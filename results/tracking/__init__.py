"""The MLflow view of a run: a process that follows the tables, and the model registry."""
