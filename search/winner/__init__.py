"""The winner of a search: confirmed with new seeds, retrained, tested once, saved and registered."""
