"""A trial of a run trained again from its row, and what came out otherwise."""
