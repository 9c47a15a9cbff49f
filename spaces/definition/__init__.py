"""Rules for any space: overrides, validation, introspection, bounds and first configuration."""
