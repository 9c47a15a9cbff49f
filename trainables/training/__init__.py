"""Training one model: compiled step, batches, epoch schedule, heads, and trainers kept warm."""
