"""The default sampler: Gaussian processes over the rungs, and the acquisition function."""
