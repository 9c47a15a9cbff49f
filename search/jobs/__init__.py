"""What a job file may say: its sections, how it is read, and the shipped examples."""
