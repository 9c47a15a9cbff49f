"""Where a search runs: the Ray session, its resources, and the files that start clusters."""
