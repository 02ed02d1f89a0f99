"""Components that print or end the program, and files that would be written twice: nothing passes for success."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from jvid.cli import main
from jvid.plugins import hookimpl
from jvid.plugins.registrar import Registrar
from jvid.plugins.registry import Registry, using
from tests.toy import SCHEDULE, toy_registry

SAMPLE = ["--shape", "3,4,8,8", "--codec", "pixels", "--steps", "2", "--selector", "always:name=a"]


class Loud:
    """Prints at each call, and ends the program at one."""

    schedule = SCHEDULE

    def __init__(self, ends: bool) -> None:
        self._ends = ends

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        print("a network that prints")
        if self._ends:
            raise SystemExit(0)
        return torch.zeros_like(x)


class Plugin:
    @hookimpl
    def jvid_register(self, register: Registrar) -> None:
        register.denoiser("loud", lambda: Loud(False))
        register.denoiser("ends", lambda: Loud(True))


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.chdir(tmp_path)
    found = toy_registry()
    found.add(Plugin(), "loud", "loud 1.0")
    with using(found):
        yield found


def test_json_is_alone_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "x", "--expert", "a=loud", *SAMPLE, "-o", "x.safetensors", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["files"] == ["x.safetensors"]
    assert captured.err.count("a network that prints") == 2


def test_a_component_that_ends_the_program_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "x", "--expert", "a=ends", *SAMPLE, "-o", "x.safetensors"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("jvid: error: ")]
    assert "expert 'a' at step 1 of 2" in line
    assert "called sys.exit(0)" in line
    assert not Path("x.safetensors").exists()


def test_a_file_that_would_be_written_twice_is_found_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    Path("other").mkdir()
    Path("link.gif").symlink_to("x.gif")
    for again in ("other/../x.gif", "link.gif"):
        assert main(["sample", "x", "--expert", "a=loud", *SAMPLE, "-o", "x.gif", "-o", again]) == 2
        assert "would be written twice" in capsys.readouterr().err


def test_a_numbered_file_that_cannot_be_written_is_found_before_sampling(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("x-1.gif").mkdir()
    assert main(["sample", "x", "y", "--expert", "a=ends", *SAMPLE, "-o", "x.gif"]) == 2
    assert "x-1.gif" in capsys.readouterr().err
    assert not Path("x-0.gif").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--selector", "none"], "unknown selector 'none'"),
        (["--solver", "none"], "unknown solver 'none'"),
        (["--gamma", f"a=1{'0' * 400}"], "expected a smaller number"),
        (["--fps", "0"], "fps"),
    ],
)
def test_options_that_mean_nothing_are_one_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "x", "--expert", "a=loud", *SAMPLE, "-o", "x.gif", *options]) == 2
    captured = capsys.readouterr().err
    assert words in captured
    assert captured.count("\n") == 1
