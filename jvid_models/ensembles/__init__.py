"""Folders of trained parts that work together: read and written."""
