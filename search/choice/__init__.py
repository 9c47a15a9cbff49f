"""Which trial becomes the winner: the best, the best confirmed with new seeds or folds, or the cheapest of the good."""
