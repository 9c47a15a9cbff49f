"""The training recipe: optimizers, learning-rate schedule and losses."""
