"""``python -m tests.mutants.table [PAGE]``: the checks of every kind and the mutants that they kill, as Markdown.

With a page, what is there between ``<!-- mutants -->`` or ``<!-- checks -->`` and its end is replaced.
"""

from __future__ import annotations

import sys
from pathlib import Path

from jvid.errors import JvidError
from jvid.files import whole_file
from jvid.testing.checking import KINDS, checks_of
from tests.mutants import Hunt, hunt

__all__ = ["checks_table", "mutants_table", "pasted"]


def mutants_table(found: Hunt) -> str:
    """A row a kind: how many checks it has, and how many mutants were killed of how many."""
    rows = ["| kind | checks | mutants killed |", "| --- | --- | --- |"]
    for kind in KINDS:
        killed = sum(one.kind == kind for one in found.killed)
        total = killed + sum(one.kind == kind for one in found.survivors)
        rows.append(f"| {kind} | {len(checks_of(kind))} | {killed} of {total} |")
    total = len(found.killed) + len(found.survivors)
    checks = sum(len(checks_of(kind)) for kind in KINDS)
    return "\n".join([*rows, f"| together | {checks} | {len(found.killed)} of {total} |"])


def checks_table() -> str:
    """For each kind, a row a check with its invariant."""
    parts = []
    for kind in KINDS:
        rows = [
            f"| `{each.name}` | {each.invariant.replace('``', '`')} |" for each in checks_of(kind).values()
        ]
        parts.append("\n".join([f"### {kind}", "", "| check | what holds |", "| --- | --- |", *rows]))
    return "\n\n".join(parts)


def pasted(page: str, name: str, text: str) -> str:
    """The page with ``text`` between its marks of that name."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def main() -> int:
    """Print the tables, or paste them into a page; 1 where a mutant survives."""
    try:
        found = hunt()
    except JvidError as error:
        print(f"jvid: error: {error}", file=sys.stderr)
        return 2
    made = {"mutants": mutants_table(found), "checks": checks_table()}
    for path in map(Path, sys.argv[1:2]):
        page = path.read_text(encoding="utf-8")
        for name, text in made.items():
            page = pasted(page, name, text)
        with whole_file(path) as part:
            part.write_text(page, encoding="utf-8")
    if not sys.argv[1:]:
        print("\n\n".join(made.values()))
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main())
