"""Commands about a job before it is searched: written, checked, forecast."""
