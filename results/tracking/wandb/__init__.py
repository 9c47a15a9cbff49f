"""A search in Weights & Biases: a run for each trial, in a group."""
