"""A search on a virtual clock: simulator, learning curves without training, and cost forecasts."""
