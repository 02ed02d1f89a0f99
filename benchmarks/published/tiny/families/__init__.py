"""Families of pipelines: in each module a table ``RECIPES``."""
