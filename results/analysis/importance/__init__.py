"""Which hyperparameters matter."""
