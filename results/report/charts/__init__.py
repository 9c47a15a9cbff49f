"""The charts of a run as data: what each shows, its axes and its series."""
