"""``python -m tests.several ARGUMENTS -- ARGUMENTS ...``: commands of jvid one after another in one process.

For tests of launchers that take long to start. Each command's exit code is printed, and the process succeeds. Ranks of torchrun
join once, for all commands: torch names a second group of a process like the first, and would find addresses that are gone.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from jvid.cli import main
from jvid_training.jobs.ranks import ranks


def commands(words: Sequence[str]) -> list[list[str]]:
    """The arguments of each command, which ``--`` separates."""
    found: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            found.append([])
        else:
            found[-1].append(word)
    return found


if __name__ == "__main__":
    with ranks("cpu"):
        for arguments in commands(sys.argv[1:]):
            # In one piece: the lines of two ranks share a pipe, and torchrun leaves them unbuffered.
            sys.stdout.write(f"exit code {main(arguments)}\n")
