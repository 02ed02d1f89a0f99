"""Benchmarks: speed as ratios, and tables of agreement; see docs/performance.md and docs/agreement.md."""
