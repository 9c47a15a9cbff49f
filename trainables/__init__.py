"""One trial: data, model, training step, report."""
