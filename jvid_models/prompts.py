"""The paper's prompt rule: a class name split at its capitals, after "A human", "A person" or "Someone".

'ApplyEyeMakeup' -> 'A person apply eye makeup' (paper, section 4.1, text conditioning).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from jvid.errors import InputError

__all__ = ["normalise_prompt", "prompt_of"]


def prompt_of(class_name: str, prefix: str = "A person", phrases: Mapping[str, str] | None = None) -> str:
    """The prompt of a class folder. ``phrases`` (class -> phrase) goes before the rule.

    >>> prompt_of("ApplyEyeMakeup"), prompt_of("wave2", phrases={"wave2": "waving two hands"})
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
