"""The built-in spaces and the registry that names them."""
