"""Images of a job: sources, decoding, splits, and the cache that holds them as arrays."""
