"""Exits when it is imported: what a careless plugin does."""

raise SystemExit(4)
