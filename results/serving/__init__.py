"""A retrained model as MLflow's model servers run it: images in JSON go in, labels and probabilities come out."""
