"""What a job's models need, tried before its search: whether they train, seconds of an epoch, memory of a GPU."""
