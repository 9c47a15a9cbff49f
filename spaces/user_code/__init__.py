"""Code of the user: found by reference, and carried to processes that do not have it."""
