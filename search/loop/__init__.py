"""The search without Ray: proposals become trials, reports decisions, budgets an end."""
