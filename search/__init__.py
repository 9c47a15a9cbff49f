"""The job, the strategy, the loop, the retrain and the command line."""
