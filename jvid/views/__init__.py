"""Plans as tables and figures."""
