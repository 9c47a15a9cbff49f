"""What a search has cost, and how long it still takes."""
