"""What driver and worker both know of a trial: reports, messages, objectives, resource usage, failures."""
