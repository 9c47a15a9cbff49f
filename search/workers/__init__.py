"""The workers of a running search: asked for through Ray Tune, and given their trials by the dispatcher."""
