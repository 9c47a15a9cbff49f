"""Successive halving: rungs, the trials that pass them, and how well a rung predicts the next one."""
