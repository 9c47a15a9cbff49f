"""What a source of images is, and how its folders, splits, files and labels may be named."""
