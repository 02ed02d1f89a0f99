"""The report of a run of the conformance kit: one outcome a check, and whether all is as expected.

passed, failed and skipped mean what they say. A failure that was expected, with its reason, is no
failure; an expected failure that passes is one, so that reasons do not outlive what they excuse.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import attrs

from jvid.errors import JvidError
from jvid.extras import extra

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["NonConforming", "Outcome", "Report", "Status"]

Status = Literal["passed", "failed", "skipped", "expected failure", "unexpected pass"]

_COLOURS: Mapping[str, str] = {
    "passed": "green", "failed": "bold red", "skipped": "yellow", "expected failure": "yellow",
    "unexpected pass": "bold red",
}  # fmt: skip


class NonConforming(JvidError, AssertionError):
    """A subject breaks an invariant of its protocol; the message lists each with what reproduces it."""


@attrs.frozen
class Outcome:
    """The result of one check.

    Attributes:
        check: its name.
        status: what it came to.
        detail: why it failed, was skipped or was expected to fail; one line.
        reproduce: a line to paste that runs the failing example alone; empty where nothing failed.
        needs: the argument of ``conforms`` for want of which it was skipped; empty if none would help.
        limit: the limit of the report for which it was skipped, "time_limit" or "max_calls"; empty for another reason.
        named: whether the check was requested by name, and so may not be skipped.
    """

    check: str
    status: Status
    detail: str = ""
    reproduce: str = ""
    needs: str = ""
    limit: str = ""
    named: bool = False

    @property
    def ok(self) -> bool:
        """Neither failed nor passed against expectation, nor skipped although it was named."""
        return self.status not in ("failed", "unexpected pass") and not (
            self.named and self.status == "skipped"
        )


@attrs.frozen
class Report:
    """All outcomes for one subject. ``print`` it, or hand it to a rich console for colours.

    Attributes:
        kind: of component.
        subject: its text.
        outcomes: one a check, in the order of the checks.
        declared: the kind's switches that are declared other than their defaults, such as "identity=False": they change what
            is checked.
    """

    kind: str
    subject: str
    outcomes: Sequence[Outcome]
    declared: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Nothing failed, nothing passed that was expected to fail, and no check that was named was skipped."""
        return all(outcome.ok for outcome in self.outcomes)

    @property
    def counts(self) -> dict[str, int]:
        """How many checks came to each status; statuses that none came to are left out."""
        return dict(Counter(outcome.status for outcome in self.outcomes))

    def __getitem__(self, check: str) -> Outcome:
        """The outcome of one check; KeyError where it was not run."""
        for outcome in self.outcomes:
            if outcome.check == check:
                return outcome
        raise KeyError(check)

    def raise_for_failures(self) -> Report:
        """This report, if it is ok.

        Raises:
            NonConforming: it is not; the message lists what failed and how to run it again.
        """
        if self.ok:
            return self
        lines = [f"{self.summary}"]
        for outcome in self.outcomes:
            if not outcome.ok:
                lines.append(f"  {outcome.check}: {outcome.status}: {outcome.detail}")
                if outcome.reproduce:
                    lines.append(f"    {outcome.reproduce}")
        raise NonConforming("\n".join(lines))

    @property
    def summary(self) -> str:
        """One line: kind, subject and counts; declared switches, arguments that skipped checks lack, what a limit left out."""
        counted = ", ".join(f"{count} {status}" for status, count in self.counts.items())
        wanting = list(dict.fromkeys(outcome.needs for outcome in self.outcomes if outcome.needs))
        notes = (
            [f"declared, which changes what is checked: {', '.join(self.declared)}"] if self.declared else []
        )
        notes += [f"not declared: {', '.join(wanting)}"] if wanting else []
        for limit in dict.fromkeys(outcome.limit for outcome in self.outcomes if outcome.limit):
            left_out = [outcome.check for outcome in self.outcomes if outcome.limit == limit]
            notes.append(f"left out by {limit}: {', '.join(left_out)}")
        noted = f" ({'; '.join(notes)})" if notes else ""
        return f"{self.kind} {self.subject}: {counted or 'no check'}{noted}"

    def __rich__(self) -> Table:
        with extra("cli"):
            from rich.markup import escape
            from rich.table import Table

        table = Table(title=escape(self.summary), title_justify="left", box=None, pad_edge=False)
        for heading in ("check", "outcome", "detail"):
            table.add_column(heading, overflow="fold")
        for outcome in self.outcomes:
            colour = _COLOURS[outcome.status]
            detail = "\n".join(filter(None, (outcome.detail, outcome.reproduce)))
            table.add_row(outcome.check, f"[{colour}]{outcome.status}[/]", escape(detail))
        return table

    def __str__(self) -> str:
        lines = [self.summary]
        width = max((len(outcome.check) for outcome in self.outcomes), default=0)
        for outcome in self.outcomes:
            lines.append(f"  {outcome.check:{width}}  {outcome.status:9}  {outcome.detail}".rstrip())
            if outcome.reproduce:
                lines.append(f"  {'':{width}}  {outcome.reproduce}")
        return "\n".join(lines)
