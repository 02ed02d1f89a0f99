"""``python -m tests.mutants [KIND ...]``: killed and total, by check; exit code 1 if one survives."""

from __future__ import annotations

import argparse
import sys

from jvid.errors import JvidError
from jvid.testing.checking import KINDS
from tests.mutants import hunt


def main() -> int:
    """Hunt the mutants of the kinds named on the command line, or of all."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="Run mutants against checks."
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    try:
        found = hunt(parser.parse_args().kinds or KINDS)
    except JvidError as error:
        print(f"tests.mutants: error: {error}", file=sys.stderr)
        return 2
    print(found)
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
