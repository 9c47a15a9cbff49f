"""A retrained model in other formats: written, run on the images that were scored already, kept where it agrees."""
