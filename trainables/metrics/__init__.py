"""Validation and test scores of single-label and multi-label tasks."""
