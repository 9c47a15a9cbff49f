"""A job that suits a folder of images: what the images are, the usual space for them, the file with its comments."""
