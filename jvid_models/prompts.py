"""The paper's prompt rule: a class name split at its capitals, after "A human", "A person" or "Someone".

'ApplyEyeMakeup' -> 'A person apply eye makeup' (paper, section 4.1, text conditioning).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from jvid.errors import InputError

__all__ = ["PREFIXES", "WEIZMANN", "normalise_prompt", "prompt_of"]

PREFIXES = ("A human", "A person", "Someone")
"""The paper draws one of these at random for each training example."""

WEIZMANN: Mapping[str, str] = {
    "bend": "bending down",
    "jack": "doing jumping jacks",
    "jump": "jumping forward",
    "pjump": "jumping in place",
    "run": "running",
    "side": "moving sideways",
    "skip": "skipping",
    "walk": "walking",
    "wave1": "waving one hand",
    "wave2": "waving two hands",
}
"""The ten actions of the Weizmann data set, as a reader would say them."""


def prompt_of(class_name: str, prefix: str = "A person", phrases: Mapping[str, str] | None = None) -> str:
    """The prompt of a class folder. ``phrases`` (class -> phrase) goes before the rule, as `WEIZMANN` does.

    >>> prompt_of("ApplyEyeMakeup"), prompt_of("wave2", phrases=WEIZMANN)
    ('A person apply eye makeup', 'A person waving two hands')
    """
    if phrases is not None and class_name in phrases:
        phrase = phrases[class_name]
    else:
        # A run of capitals is one word ('YoYo' two, 'TVShow' tv show); underscores and digits split too.
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+", class_name)
        phrase = " ".join(words).lower()
    if not phrase:
        raise InputError(
            f"class name {class_name!r} has no letters: expected a name such as 'ApplyEyeMakeup'"
        )
    return f"{prefix} {phrase}".strip()


def normalise_prompt(prompt: str) -> str:
    """Case, white space and a trailing full stop do not count: the form in which prompts are compared."""
    return " ".join(prompt.casefold().split()).rstrip(".").rstrip()
