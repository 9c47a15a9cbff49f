"""The Parquet tables of a run: schemas, rows, parts, the one writer and its lock."""
