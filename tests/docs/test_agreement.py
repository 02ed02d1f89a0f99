"""The tables of docs/agreement.md: their rows are measured here again, where the libraries are installed."""

from __future__ import annotations

import re

import pytest

from benchmarks import agreement

PAGE = agreement.PAGE.read_text(encoding="utf-8")


def test_samplers_of_one_formula_differ_by_rounding_alone():
    measured = list(agreement.agreement())
    present = [row for row in measured if isinstance(row[3], float)]
    if not present:
        pytest.skip("none of azula, k-diffusion and smalldiffusion is installed: benchmarks/peers.txt")
    for library, name, _, difference, remark in present:
        assert (difference < 1e-12) == (remark == "same formula"), (library, name, difference)


def test_our_solvers_have_the_order_that_they_claim():
    for library, name, claimed, measured in agreement.orders():
        if library == "jvid":
            assert measured > claimed - 0.25, name


def test_the_page_holds_what_is_measured():
    for library, name, solver, difference, _ in agreement.agreement():
        row = next(line for line in PAGE.splitlines() if f"| {library} | `{name}` | `{solver}` |" in line)
        if isinstance(difference, float) and difference > 1e-9:
            assert f"{difference:.1e}" in row
    for library, name, claimed, measured in agreement.orders():
        row = next(line for line in PAGE.splitlines() if f"| {library} | `{name}` | {claimed} |" in line)
        if isinstance(measured, float):
            assert abs(float(re.findall(r"\| ([\d.]+) \|$", row)[0]) - measured) < 0.02
