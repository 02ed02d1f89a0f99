"""What the benchmarks report: verdicts, medians in turn, the table and its page; processes beside each other."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import tables
from benchmarks.beside import Process, beside, environment, in_turn
from benchmarks.ratios import claim, interleaved, threads, verdict
from jvid.machine.cores import threads_for
from tests.installed import fork

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"


def bench(name: str = "test_x", median: float = 1.0, **info: Any) -> SimpleNamespace:
    """What pytest-benchmark keeps of a benchmark, as far as it is read."""
    return SimpleNamespace(name=name, stats=SimpleNamespace(median=median), extra_info=info)


@pytest.mark.parametrize(
    ("ratio", "least", "expected"),
    [
        (0.25, False, "aim met"), (0.4, False, "met"), (0.41, False, "MISSED"), (None, False, "MISSED"),
        (0.4, True, "aim met"), (0.25, True, "MISSED"),
    ],
)  # fmt: skip
def test_verdicts(ratio, least, expected):
    assert verdict(ratio, 0.4, 0.25 if not least else 0.3, least=least) == expected
    assert verdict(ratio, None, least=least) == ""
    without_aim = verdict(ratio, 0.4, least=least)
    assert without_aim == ("met" if expected == "aim met" else expected)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0.01, 100))
def test_a_speed_up_is_judged_as_the_part_of_the_cost_that_it_leaves(ratio, must, aim):
    # 1 / x turns the order about exactly, but for quotients that round to one value.
    if len({ratio, must, aim}) == len({1 / ratio, 1 / must, 1 / aim}):
        assert verdict(ratio, must, aim) == verdict(1 / ratio, 1 / must, 1 / aim, least=False)


def test_a_benchmark_may_make_several_claims():
    one = bench("test_one")
    claim(one, "2 s", "1 s", 2.0, 1.5, 2.5)
    claim(one, "8 MB", "1 MB", 0.125, 0.25, 0.2, least=False, figure="memory", remarks="one thread")
    claim(one, "a", "b", 0.0007, 0.02, least=False)
    claim(one, "a", "b", 1.2)
    claim(one, "a", "b", None, 0.4)
    assert tables.rows([one]) == [
        ("one", "2 s", "1 s", "2.00", "≥ 1.5", "≥ 2.5", "met", ""),
        ("memory", "8 MB", "1 MB", "0.12", "≤ 0.25", "≤ 0.2", "aim met", "one thread"),
        ("one", "a", "b", "0.0007", "≤ 0.02", "", "met", ""),
        ("one", "a", "b", "1.20", "", "", "", ""),
        ("one", "a", "b", "", "≥ 0.4", "", "MISSED", ""),
    ]


def test_one_sided_rows():
    found = tables.rows(
        [
            bench("test_help", 0.161, **{"most seconds": 1}),
            bench(
                "test_clip", 10.8, gigabytes=2.5, **{"most seconds": 30, "most gigabytes": 2, "threads": 2}
            ),
            bench("test_plan", 1.3, gigabytes=0.26),
        ]
    )
    assert found == [
        ("help", "", "0.16 s", "", "≤ 1 s", "", "met", ""),
        ("clip", "", "10.80 s, 2.50 GB", "", "≤ 30 s, 2 GB", "", "MISSED", "threads 2"),
        ("plan", "", "1.30 s, 0.26 GB", "", "", "", "", ""),
    ]
    assert tables.tally(found) == "0 figures reach their aim, 1 what they must, 1 neither: clip."


def test_the_tables_columns_stand_below_each_other():
    lines = tables.markdown([("a", "bbbbbb"), ("", "b")], head=("figure", "x"))
    assert lines == [
        "| figure | x      |",
        "| ------ | ------ |",
        "| a      | bbbbbb |",
        "|        | b      |",
    ]


def test_the_machine_is_named(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text(
        "processor\t: 0\nmodel name\t: Some Processor 3000\nprocessor\t: 1\nmodel name\t: Other\n"
    )
    assert "cores of Some Processor 3000, Python 3" in tables.machine(info)
    assert f"torch {torch.__version__}" in tables.machine(tmp_path / "none")


def test_sides_take_turns_and_lead_in_turn():
    calls: list[str] = []
    found = interleaved({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=3, warmup=1)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"
    assert set(found) == {"a", "b"}


def test_threads_are_given_back():
    before = torch.get_num_threads()
    for count, words in ((before + 1, f"{before + 1} threads"), (1, "1 thread")):
        with threads(count) as used:
            assert torch.get_num_threads() == count
        assert used == words
        assert torch.get_num_threads() == before


# The run as a whole

CONFTEST = "from benchmarks.conftest import *\n"
BENCH = """
from benchmarks.ratios import claim
def test_a(benchmark):
    claim(benchmark, "3 s", "2 s", benchmark.pedantic(lambda: 1.5, rounds=1), 1.6, 2.2, figure="a clip")
"""


@pytest.fixture
def benches(pytester, monkeypatch):
    """A folder with one benchmark and the conftest."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):  # a worker's child would not measure
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(BENCH)

    def run(*arguments: str) -> Any:
        return fork(
            "-m", "pytest", "-p", "no:cacheprovider", "--benchmark-quiet", *arguments, path=pytester.path
        )

    return run


def test_a_run_prints_the_table_and_writes_it_between_the_marks(benches, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench -->\nold\n<!-- end of bench -->\nafter\n")
    done = benches(f"--page={page}")
    row = "| a clip | 3 s   | 2 s  | 1.50  | ≥ 1.6 | ≥ 2.2 | MISSED  |         |"
    assert row in done.stdout.splitlines(), done.stdout + done.stderr
    text = page.read_text()
    assert row in text
    assert "0 figures reach their aim, 0 what they must, 1 neither: a clip." in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


@pytest.mark.parametrize("text", [None, "no marks", "<!-- end of bench --> <!-- bench -->"])
def test_a_page_that_cannot_take_the_table_is_refused_before_anything_runs(benches, tmp_path, text):
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text)
    done = benches(f"--page={page}")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "expected a page that holds <!-- bench -->" in done.stderr
    assert "a clip" not in done.stdout


def test_make_bench_measures_with_all_cores(monkeypatch):
    """An empty argument would be the root, whose tests' own settings, one thread among them, would then hold."""
    printed = subprocess.run(
        ["make", "-n", "bench"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    command = next(line for line in printed.splitlines() if "-m pytest benchmarks" in line)
    # One of the benchmarks, the lightest to import, in place of the folder.
    arguments = [
        "benchmarks/test_noise.py" if word == "benchmarks" else word
        for word in shlex.split(command.partition("-m pytest ")[2])
    ]
    code = (
        "import os, pytest, sys; sys.modules.pop('tests.conftest'); code = pytest.main(sys.argv[1:]); "
        "print('threads', os.environ.get('OMP_NUM_THREADS')); sys.exit(code)"
    )
    for name in [name for name in os.environ if name.startswith(("OMP_", "PYTEST_"))]:
        monkeypatch.delenv(name)
    done = fork("-c", code, *arguments, "--collect-only")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "threads None"


def test_the_document_can_take_the_table():
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- bench -->") == text.count("<!-- end of bench -->") == 1


# Processes


def test_processes_know_of_each_other_as_launchers_do():
    given_ = {"OMP_NUM_THREADS": "1", "LOCAL_WORLD_SIZE": "7", "PATH": "x"}
    both = [environment(2, rank, given_) for rank in range(2)]
    assert [each["LOCAL_RANK"] for each in both] == ["0", "1"]
    assert [threads_for(None, 8, 8, each) for each in both] == [4, 4]
    alone = environment(1, 0, given_)
    assert alone == {"PATH": "x"}
    assert threads_for(None, 8, 8, alone) is None


ECHO = """
import sys
log, name, *meeting = sys.argv[1:]
print(3, flush=True)
for line in sys.stdin:
    print(name, "begins", file=open(log, "a"))
    for pipe in meeting:
        open(pipe, "rw"[int(name)]).close()  # returns when the other has opened it too
    print(name, "ends", file=open(log, "a"))
    print("done", flush=True)
"""


@pytest.mark.parametrize(("how", "overlap"), [(beside, True), (in_turn, False)])
def test_beside_and_in_turn(tmp_path, how, overlap):
    """Beside each other two processes can meet; in turn one has ended before the other begins."""
    pipe, log = tmp_path / "pipe", tmp_path / "log"
    os.mkfifo(pipe)
    meeting = [str(pipe)] if overlap else []
    commands = [[sys.executable, "-c", ECHO, str(log), str(rank), *meeting] for rank in range(2)]
    with Process(commands[0], environment(2, 0)) as one, Process(commands[1], environment(2, 1)) as other:
        assert one.threads == other.threads == 3
        how([one, other])
        how([one, other])
    lines = log.read_text().splitlines()
    for half in (lines[:4], lines[4:]):
        assert sorted(half) == ["0 begins", "0 ends", "1 begins", "1 ends"]
        if not overlap:
            assert half[1] == half[0].replace("begins", "ends")
            assert half[3] == half[2].replace("begins", "ends")


def test_a_process_that_ends_is_an_error():
    with (
        pytest.raises(RuntimeError, match="ended with code 3"),
        Process([sys.executable, "-c", "raise SystemExit(3)"], environment(1, 0)) as process,
    ):
        process.begin()
