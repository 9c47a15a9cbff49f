"""The running search: a run is opened, its tables are written, its progress is told, it is resumed and ended."""
