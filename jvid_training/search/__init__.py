"""Strategies compared and searched: ``jvid ablation`` and ``jvid sweep``.

    recipe -> rows (ablation) or trials (sweep) -> a set of clips each -> figures -> a table or a front

A set and its figures are known by what they depend on, not by the command: what several tables share is made once.
"""
