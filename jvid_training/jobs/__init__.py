"""Processes that share work: locks, ranks, threads."""
