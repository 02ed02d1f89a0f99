"""``python -m tests.mutants [KIND ...]``: killed and total, by check; exit code 1 if one survives."""

from __future__ import annotations

import sys

from jvid.errors import JvidError
from jvid.testing.checking import KINDS
from tests.mutants import hunt


def main() -> int:
    """Hunt the mutants of the kinds named on the command line, or of all."""
    try:
        found = hunt(sys.argv[1:] or KINDS)
    except JvidError as error:
        print(f"jvid: error: {error}", file=sys.stderr)
        return 2
    print(found)
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
