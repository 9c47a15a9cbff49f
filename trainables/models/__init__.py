"""Model families: CNN, transfer and user code, from a configuration to a Keras model."""
