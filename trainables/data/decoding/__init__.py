"""From image files to split arrays: decode, resize, split, write."""
