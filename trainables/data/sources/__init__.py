"""Sources of labelled images: a file for each."""
