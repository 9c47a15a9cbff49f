"""What came out: Parquet tables (the truth), MLflow, the leaderboard and the winner (views of it)."""
