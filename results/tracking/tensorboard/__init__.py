"""A search as TensorBoard reads it: files of events."""
