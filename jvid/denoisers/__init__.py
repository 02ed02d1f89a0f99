"""Denoisers made of others: bridged parameterizations, guidance, windows, known parts, caches."""
