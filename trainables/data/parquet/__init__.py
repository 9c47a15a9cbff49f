"""Images and labels in Parquet files."""
