"""Any exception of a command is one line and an exit code; a fault of our own keeps its traceback."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from jvid.cli import main
from jvid.cli.failures import failure
from jvid.core.provenance import annotate
from jvid.errors import InputError
from jvid.plugins import hookspecs
from jvid.plugins.registrar import Registrar
from jvid.plugins.registry import using
from tests.toy import toy_registry

PROMPT = "a person waving"
TOY = ["--ensemble", "toy", "--steps", "2"]


class Raising:
    """A plugin whose command raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @hookspecs.hookimpl
    def jvid_register(self, register: Registrar) -> None:
        def fails() -> None:
            raise self.error

        register.command("fails", fails, help="Raise.")


def ended(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    registry = toy_registry()
    registry.add(Raising(error), "raising", "raising 1.0")
    with using(registry):
        code = main(["fails"])
    return code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("wrong"), 2, "jvid: error: wrong"),
        (InputError("a\nb"), 2, "jvid: error: a b"),
        (SystemExit("it broke"), 1, "jvid: error: it broke"),
        (SystemExit(3), 3, ""),
        (SystemExit(None), 0, ""),
        (KeyboardInterrupt(), 130, "jvid: interrupted"),
        (MemoryError(), 2, "jvid: error: not enough memory (MemoryError): fewer or smaller clips need less"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "jvid: error: not enough"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 2, "jvid: error: 'x': Permission denied; give a path that"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "jvid: error: No space left on device; give a path that"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    ],
)  # fmt: skip
def test_an_error_is_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    got, shown = ended(error, capsys)
    assert got == code
    assert shown.startswith(line)
    assert shown.count("\n") == bool(line)


def test_a_command_returns_its_exit_code() -> None:
    class Returning:
        @hookspecs.hookimpl
        def jvid_register(self, register: Registrar) -> None:
            register.command("returns", lambda: 3, help="Return.")

    registry = toy_registry()
    registry.add(Returning(), "returning", "returning 1.0")
    with using(registry):
        assert main(["returns"]) == 3


def test_a_components_broken_pipe_is_named() -> None:
    error = BrokenPipeError(errno.EPIPE, "Broken pipe")
    annotate(error, "expert 'video'", error)
    found = failure(error, [])
    assert found.code == 2
    assert "expert 'video'" in found.message


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), EOFError("no interrupt"), AssertionError()])
def test_a_fault_of_our_own_keeps_its_traceback_and_is_reported(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    code, shown = ended(error, capsys)
    assert code == 1
    assert shown.startswith("Traceback (most recent call last):")
    assert "in fails" in shown
    assert shown.splitlines()[-1].startswith(
        "jvid: this is a fault of jvid or of a plugin, not yours: please report it"
    )


def test_a_line_has_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    _, shown = ended(InputError("x" * 10**6 + ": expected less"), capsys)
    assert len(shown) < 1300
    assert shown.endswith(": expected less\n")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["sample", PROMPT, "-o", "a.png", "-n", "1000000000"], "--num 1000000000: expected at most 100000; `jvid generate`"),
        (["sample", PROMPT, "-o", "a.png", "--frames", "1000000000"], "clips of latents 4x1000000000x8x8: those of one take"),
        (["sample", PROMPT, "-o", "a.png", "--threads", "100000"], "threads 100000: expected at most"),
        (["generate", "-o", "set", "-n", "1000000000000"], "num 1000000000000: expected at most 8000000"),
        (["generate", "-o", "set", "-n", "4000000", "--batch", "1"], "files of a set 4000000: expected at most 1000000; give a"),
        (["generate", "-o", "set", "-n", "2", "--batch", "1000000000"], "batch 1000000000: expected at most 100000; give a"),
        (["generate", "-o", "set", "-n", "2", "--frames", "1000000000"], "clips of latents 4x1000000000x8x8: those of one take"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("toys")
def test_numbers_are_refused_before_anything_is_made_of_them(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, *TOY]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"jvid: error: {line}")
    assert shown.count("\n") == 1
    assert not [path for path in Path().glob("*") if path.is_file()]


@pytest.mark.usefixtures("toys")
def test_a_cycle_of_any_length_costs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = "cycle:experts=video+image,lengths=1+1000000000000"
    assert main(["plan", "--ensemble", "toy", "--steps", "4", "--selector", lengths]) == 0
    assert "video 1, image 3" in capsys.readouterr().out
