"""The winner of a search in training: here or on the cluster, its file checked, tested once, kept and registered."""
