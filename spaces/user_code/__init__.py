"""The user's code: found by reference, and carried to processes that do not have its file."""
