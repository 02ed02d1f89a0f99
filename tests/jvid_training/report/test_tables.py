"""The tables of a report page."""

from __future__ import annotations

from jvid_training.evaluation.figures import Figure
from jvid_training.report.content import ReportRow
from jvid_training.report.tables import figures_table


def test_what_figures_say_of_themselves_stands_once() -> None:
    """A floor's note with its name, where no row says the same; floors that say the same together."""

    def row(name: str, note: str) -> ReportRow:
        return ReportRow(name, figures={"flicker": Figure(1.0, note=note)})

    floors = [
        row("real", "of halves"),
        row("image AE", "of 255"),
        row("video AE", "of halves"),
        row("none", ""),
    ]
    table = figures_table([row("a", "of 255"), row("b", "of 255"), row("c", "")], floors)
    assert table is not None
    assert table.notes == ("flicker, real; video AE: of halves", "flicker: of 255")
    # Rows that differ: one line, with whose each is.
    table = figures_table([row("a", "9 of 10"), row("b", "8 of 10"), row("c", "9 of 10")], floors[:1])
    assert table is not None
    assert table.notes == ("flicker, real: of halves", "flicker: 9 of 10 (a, c); 8 of 10 (b)")
