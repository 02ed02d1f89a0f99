"""``python -m tests.mutants.reproduce [KIND ...]``: the reproducing line of each mutant that a check kills, pasted and run.

The line runs in a namespace of its own that holds ``conforms``, ``subject`` (the mutant, built anew) and, under their own names,
those arguments that the line cannot write out, as a condition or a reference. It reproduces if the same check fails again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Iterator

from jvid.testing.checking import KINDS
from jvid.testing.conforms import conforms
from jvid.testing.report import Outcome, Report
from tests.mutants import Mutant, mutants_of

__all__ = ["pasted", "unreproduced"]


def pasted(one: Mutant, line: str) -> Outcome:
    """What a reproducing line of a mutant comes to where it is pasted.

    Raises:
        Exception: the line is no Python, or uses a name that is not there.
    """
    names = {"conforms": conforms, "subject": one.build()}
    for name, value in one.context.items():
        if f"{name}={name}" in line:
            names[name] = value
    report: Report = eval(line, names)
    return report[one.check]


def unreproduced(one: Mutant, examples: int = 25) -> str:
    """Why the line of a mutant's failure does not reproduce it; "" where it does."""
    first = conforms(one.kind, one.build(), only=[one.check], examples=examples, **one.context)[one.check]
    if first.status != "failed":
        return f"no failure to reproduce: {first.status} {first.detail}"
    try:
        again = pasted(one, first.reproduce)
    except Exception as error:
        return f"{type(error).__name__}: {error} in {first.reproduce}"
    return "" if again.status == "failed" else f"{again.status} {again.detail} by {first.reproduce}"


def _all(kinds: Collection[str]) -> Iterator[tuple[Mutant, str]]:
    for kind in kinds:
        for one in mutants_of(kind):
            yield one, unreproduced(one)


def main() -> int:
    """Print what does not reproduce, and the counts; 1 where there is any."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants.reproduce", description="Run reproducing lines."
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)} (default: all)")
    count = failed = 0
    for one, why in _all(parser.parse_args().kinds or KINDS):
        count += 1
        failed += bool(why)
        if why:
            print(f"{one.kind} {one.name}: {why}", flush=True)
    print(f"{count - failed} of {count} lines reproduce")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
