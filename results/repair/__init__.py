"""A damaged run mended: what of its tables can be read is kept, what another table knows is rebuilt, the rest told."""
