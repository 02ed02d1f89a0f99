"""``jvid generate``: its options, what it prints and where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jvid.cli import main
from jvid.ensemble import Source
from jvid_training.generation import ClipSet
from tests.terminals import Terminal
from tests.toy import PROMPTS

MEANS = {"high": 0.5, "mid": 0.0, "low": -0.4}
ORACLES = [
    f"--expert={name}=gaussian:mean={mean},std=.3,schedule=scaled-linear" for name, mean in MEANS.items()
]
THREE = [*ORACLES, "--codec", "pixels", "--shape", "3,4,8,8", "--prompt", "a square"]
WORDS = ["generate", "--ensemble", "toy", "-o", "set", "--batch", "2"]


pytestmark = pytest.mark.usefixtures("toys")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main([*words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("jvid: error: ")
    assert err.count("\n") == 1
    return err


def test_the_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--num", "3", "--prompt", PROMPTS[1]]) == 0
    shown = capsys.readouterr().out
    assert "3 clips (4 in whole files), 1 prompts, seeds 0 to 2" in shown
    assert "video" in shown
    assert " calls " in shown
    assert ClipSet.open("set").labels == ("running",) * 3
    refused(capsys, *WORDS, "--num", "3", "--prompt", PROMPTS[1], "--seed", "4")
    refused(capsys, *WORDS, "--num", "3", "--dtype", "int8")
    refused(capsys, *WORDS, "--num", "3", "--paper", "7")


def test_json_is_one_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--num", "3", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    made = ClipSet.open("set")
    assert values["clips"] == 3
    assert values["made"] == 4
    assert values["prompts"] == list(PROMPTS)
    assert values["calls"] == made.calls
    assert Source.from_plain(values["ensemble"]) == made.spec.ensemble
    assert values["strategy"] == made.spec.strategy.to_dict()


def test_experts_and_changes_of_the_strategy(capsys: pytest.CaptureFixture[str]) -> None:
    changes = [
        "--selector",
        "boundary:experts=high+mid+low,at=.3+.6",
        "--steps",
        "6",
        "--noise",
        "low=shared:ratio=.5",
    ]
    assert (
        main(["generate", "-o", "set", "-n", "2", *THREE, *changes, "--smooth", "temporal:threshold=2"]) == 0
    )
    spec = ClipSet.open("set").spec
    assert list(spec.ensemble.experts) == ["high", "mid", "low"]
    assert (spec.strategy.steps, str(spec.strategy.of("low").noise)) == (6, "shared:ratio=0.5")
    assert [str(each) for each in spec.strategy.postprocessors] == ["temporal:threshold=2"]
    # The same command goes on, and another one is distinguished.
    assert (
        main(["generate", "-o", "set", "-n", "4", *THREE, *changes, "--smooth", "temporal:threshold=2"]) == 0
    )
    assert "postprocessors" in refused(capsys, "generate", "-o", "set", "-n", "4", *THREE, *changes)
    wrong = [*THREE, "--selector", "always:name=sound"]
    assert "expert 'sound'" in refused(capsys, "generate", "-o", "none", "-n", "1", *wrong)


def test_prompts_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("prompts.txt").write_text(f"{PROMPTS[1]}\n\n" + json.dumps({"prompt": PROMPTS[0]}) + "\n")
    assert main([*WORDS, "--num", "3", "--prompts", "prompts.txt"]) == 0
    assert ClipSet.open("set").spec.prompts == (PROMPTS[1], PROMPTS[0])
    both = refused(capsys, *WORDS, "--num", "3", "--prompts", "prompts.txt", "--prompt", PROMPTS[0])
    assert "beside --prompts" in both
    Path("seeds.txt").write_text(json.dumps({"prompt": PROMPTS[0], "seed": 3}))
    assert "--prompts 'seeds.txt' has a seed for 'a person waving'" in refused(
        capsys, *WORDS, "--num", "3", "--prompts", "seeds.txt"
    )


def test_frames(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*WORDS, "--num", "2", "--frames", "9", "--overlap", "2"]) == 0
    assert ClipSet.open("set").clip(0).shape == (9, 64, 64, 3)
    assert "--overlap beside clips of 5 frames" in refused(
        capsys, "generate", "--ensemble", "toy", "-o", "none", "--num", "2", "--overlap", "2"
    )


def test_progress_is_on_stderr_alone_and_terminals_have_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a pseudo-terminal, where a bar without a total would fail."""
    terminal = Terminal(monkeypatch, ["stderr"])
    shown = terminal.run("generate", "-o", tmp_path / "set", "-n", 2, "--json", *THREE)
    assert json.loads(capsys.readouterr().out)["clips"] == 2
    assert "2/2 clips" in shown
