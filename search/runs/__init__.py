"""The run folder on storage, and its tables as trial records for a strategy."""
