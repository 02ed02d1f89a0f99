"""Thousands of clips into sharded files, resumable at any moment, over several processes.

    clip i    prompt = prompts[i mod len(prompts)],  seed = seed + i        a function of the request alone
    batch k   clips [k batch, (k + 1) batch), one file: whole or not at all

What is missing is what has no file: there is no other state to save, to lose or to disagree about.
"""

from __future__ import annotations

from jvid_training.generation.reuse import finish, finishes
from jvid_training.generation.run import generate
from jvid_training.generation.sets import ClipSet
from jvid_training.generation.spec import GenerationProgress, Spec

__all__ = ["ClipSet", "GenerationProgress", "Spec", "finish", "finishes", "generate"]
