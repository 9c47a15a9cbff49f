"""What a retrained model scores on the test images: numbers, a table of predictions, pictures, a model card."""
