"""What models and data agree on: image shape, classes, kind of task."""
