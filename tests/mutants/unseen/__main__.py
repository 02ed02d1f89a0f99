"""``python -m tests.mutants.unseen [KIND ...]``: unseen mutants killed, with and without a declared reference, by kind."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from unittest import mock

from jvid.testing import trial
from jvid.testing.conforms import conforms
from tests.mutants.unseen import GENERATIONS, Unseen, all_unseen

__all__ = ["killers", "table"]


def killers(one: Unseen, referenced: bool, examples: int = 25) -> list[str]:
    """The checks that fail on a mutant, with the details; examples are not made small."""
    context = {"examples": examples, **one.context, **(one.declared if referenced else {})}
    with mock.patch.object(trial, "FEW", examples):
        report = conforms(one.kind, one.build(), **context)
    return [f"{each.check}: {each.detail}" for each in report.outcomes if each.status == "failed"]


def table(kinds: Collection[str], generation: int, shown: bool = True) -> tuple[str, list[str]]:
    """The table of a generation as Markdown, and the survivors."""
    counts: dict[str, list[int]] = {}
    survivors = []
    for one in all_unseen():
        if one.generation != generation or (kinds and one.kind not in kinds):
            continue
        count = counts.setdefault(one.kind, [0, 0, 0])
        count[2] += 1
        plain = killers(one, False)
        found = plain or killers(one, True)
        count[0] += bool(plain)
        count[1] += bool(found)
        if shown:
            first = (plain or found or ["survives"])[0][:130]
            print(
                f"{one.kind:13} {one.name:28} {'plain' if plain else 'reference' if found else '-':9}  {first}",
                flush=True,
            )
        if not found:
            survivors.append(f"{one.kind} {one.name}: with a reference too")
        elif not plain:
            survivors.append(f"{one.kind} {one.name}: without a reference")
    rows = ["| kind | mutants | killed without a reference | with one |", "| --- | --- | --- | --- |"]
    total = [sum(each) for each in zip(*counts.values(), strict=True)]
    for kind, (plain_count, with_count, all_) in [*counts.items(), ("together", total)]:
        rows.append(f"| {kind} | {all_} | {plain_count} | {with_count} |")
    rows[-1] += f" {100 * total[0] / total[2]:.0f} % and {100 * total[1] / total[2]:.0f} %"
    return "\n".join(rows), survivors


def main() -> int:
    """Print each mutant with what kills it, then the table and the survivors."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.unseen", description="Run unseen mutants.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="kinds of components (default: all)")
    parser.add_argument(
        "--generation", type=int, choices=tuple(GENERATIONS), help="of mutants (default: each)"
    )
    given = parser.parse_args()
    for generation in [given.generation] if given.generation else GENERATIONS:
        made, survivors = table(given.kinds, generation)
        print(f"\ngeneration {generation}\n\n{made}\n")
        for each in survivors:
            print(f"survivor: {each}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
