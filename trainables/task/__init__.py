"""What models and data agree on: image shape, classes, type of task."""
