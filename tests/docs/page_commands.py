"""The commands of a page in this process, with values that make them small."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence

from jvid.cli import main
from tests.training_tools import few_held_out_samples


def run_small(
    commands: Iterable[str], changed: Mapping[str, Sequence[str]], more: Mapping[str, Sequence[str]]
) -> None:
    """Run ``jvid`` commands in turn; each ends with 0.

    Args:
        commands: lines of a page.
        changed: values for ``--set`` by the first words of a command.
        more: further words by the name of a command.
    """
    with few_held_out_samples(2):
        for command in commands:
            words = shlex.split(command)[1:]
            small = next((each for start, each in changed.items() if command.startswith(f"jvid {start}")), ())
            added = [word for value in small for word in ("--set", value)]
            assert main([*words, *added, *more.get(words[0], ())]) == 0, command
