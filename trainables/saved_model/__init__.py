"""The saved model: what its file says about itself, how it is loaded, checked and given image files."""
