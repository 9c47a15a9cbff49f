"""Image augmentation as a Keras layer."""
