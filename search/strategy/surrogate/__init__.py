"""The model-based sampler: Gaussian processes over the rungs, and the acquisition function."""
