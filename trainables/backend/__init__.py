"""TensorFlow and JAX: compiling, precision, GPU memory, and the choice of how to compute."""
