"""The running search: the loop, the dispatcher of its workers, budgets, tables, progress and resume."""
