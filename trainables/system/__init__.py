"""The process and its storage: files at a path or URI, resource limits, imports, the watchdog."""
