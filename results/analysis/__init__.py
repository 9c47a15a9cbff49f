"""Who won and how surely: leaderboard, winner, confirmation, learning curves, rungs."""
