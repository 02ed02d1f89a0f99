"""``--frames`` and ``--overlap``: what they make, repeat, price and refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import torch

from jvid.cli import main
from jvid.ensemble import compose
from jvid.media import ENDINGS, read_latents, read_metadata, write_latents
from jvid.plugins.registry import using
from jvid.strategy import Strategy
from tests import toy
from tests.toy import SHAPE, STRATEGY, built, toy_ensemble, toy_registry

RUN = "a person running"
KNOWN = SHAPE[1]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    built.clear()
    with using(toy_registry()):
        yield


@pytest.fixture
def frames_seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames of every call of the toy's networks, which here look at all that they are given."""
    seen: list[int] = []
    usual = toy.Conditional.__call__

    def look(self: toy.Conditional, x: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(x.shape[2])
        x_0 = usual(self, x, *rest)  # type: ignore[arg-type]
        return x_0 - 0.5 * x_0.mean(dim=2, keepdim=True)

    monkeypatch.setattr(toy.Conditional, "__call__", look)
    return seen


def latents(*args: str, name: str = "z.safetensors") -> torch.Tensor:
    assert main(["sample", *args, "--ensemble", "toy", "-o", name]) == 0
    return read_latents(name)


@pytest.mark.parametrize("frames", [1, KNOWN - 2, KNOWN, KNOWN + 1, 4 * KNOWN + 2])
def test_clips_have_as_many_frames_as_were_requested(frames: int, frames_seen: list[int]) -> None:
    made = latents(RUN, "--frames", str(frames), "--seed", "4", "-o", "a.png", "--scale", "1")
    assert made.shape == (1, 4, frames, 8, 8)
    assert set(frames_seen) == {1, min(frames, KNOWN)}
    stated = read_metadata("z.safetensors")
    assert (stated["frames"], stated["strategy"]["overlap"]) == (frames, 4)
    ensemble = toy_ensemble()
    sampler = compose(STRATEGY, ensemble, frames)
    expected = sampler((4, frames, 8, 8), seeds=[4], cond=ensemble.condition([RUN]))
    assert torch.equal(made, expected)
    from PIL import Image

    with Image.open("a.png") as page:
        assert page.width == frames * 64 + (frames - 1) * 2


def test_overlap_changes_the_clip(frames_seen: list[int]) -> None:
    whole = latents(RUN, "--frames", "13")
    assert torch.equal(whole, latents(RUN, "--frames", "13", "--overlap", "4"))
    assert not torch.equal(whole, latents(RUN, "--frames", "13", "--overlap", "1"))


@pytest.mark.parametrize("ending", ENDINGS)
def test_again_repeats_a_long_clip_bit_for_bit(ending: str, frames_seen: list[int]) -> None:
    first = latents(RUN, "--frames", "13", "--overlap", "2", "--seed", "9", "-o", f"one{ending}")
    assert main(["sample", "--again", f"one{ending}", "-o", "y.safetensors", "-o", f"two{ending}"]) == 0
    assert torch.equal(first, read_latents("y.safetensors"))
    assert Path(f"one{ending}").read_bytes() == Path(f"two{ending}").read_bytes()
    stated = read_metadata(f"two{ending}")
    assert (stated["frames"], stated["strategy"]["overlap"]) == (13, 2)


def test_again_with_another_length_or_overlap(frames_seen: list[int]) -> None:
    latents(RUN, "--frames", "13", "--overlap", "2")
    assert main(["sample", "--again", "z.safetensors", "--overlap", "1", "-o", "y.safetensors"]) == 0
    assert torch.equal(read_latents("y.safetensors"), latents(RUN, "--frames", "13", "--overlap", "1"))
    assert main(["sample", "--again", "y.safetensors", "--frames", "5", "-o", "x.safetensors"]) == 0
    assert torch.equal(read_latents("x.safetensors"), latents(RUN))


def test_files_that_state_no_number_of_frames_have_the_ensembles() -> None:
    made = latents(RUN)
    stated = read_metadata("z.safetensors")
    del stated["frames"], stated["strategy"]["overlap"]
    write_latents("old.safetensors", made, stated)
    assert main(["sample", "--again", "old.safetensors", "-o", "y.safetensors"]) == 0
    assert torch.equal(made, read_latents("y.safetensors"))
    assert read_metadata("y.safetensors")["frames"] == KNOWN


@pytest.mark.parametrize("frames", [0, 2.5, True, "many"])
def test_a_file_of_no_number_of_frames_is_refused(frames: object, capsys: pytest.CaptureFixture[str]) -> None:
    made = latents(RUN)
    write_latents("z.safetensors", made, {**read_metadata("z.safetensors"), "frames": frames})
    capsys.readouterr()
    assert main(["sample", "--again", "z.safetensors", "-o", "y.safetensors"]) == 2
    printed = capsys.readouterr().err
    assert f"frames {frames!r}: expected a whole number" in printed
    assert printed.count("\n") == 1
    assert not Path("y.safetensors").exists()


def test_a_saved_strategy_keeps_its_overlap() -> None:
    first = latents(RUN, "--frames", "13", "--overlap", "3", "--save-strategy", "mine.json")
    assert Strategy.load("mine.json") == attrs.evolve(STRATEGY, overlap=3)
    assert torch.equal(first, latents(RUN, "--frames", "13", "--strategy", "mine.json"))


def test_a_plan_is_replayed_at_another_length(frames_seen: list[int]) -> None:
    assert main(["plan", "--ensemble", "toy", "-o", "plan.json"]) == 0
    whole = latents(RUN, "--frames", "13")
    assert torch.equal(whole, latents(RUN, "--frames", "13", "--plan", "plan.json"))
    assert main(["sample", "--again", "z.safetensors", "-o", "y.safetensors"]) == 0
    assert torch.equal(whole, read_latents("y.safetensors"))


def test_plan_prices_as_many_frames(frames_seen: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--ensemble", "toy", "--time", "--frames", "13", "--overlap", "1"]) == 0
    assert "s/call" in capsys.readouterr().out
    # A call of each kind to warm up and three measured: a window for video, frames folded for images.
    assert frames_seen == [KNOWN, 1] * 4


def test_longer_clips_cost_a_call_for_each_window(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["plan", "--ensemble", "toy", "--selector", "always:name=video", "--time", "--json"]
    calls = []
    for more in (
        ["--frames", "5"],
        ["--frames", "13", "--overlap", "1"],
        ["--frames", "13", "--overlap", "3"],
    ):
        assert main([*args, *more]) == 0
        calls.append(json.loads(capsys.readouterr().out)["experts"]["video"]["calls"])
    # 8 steps; windows at 0, 4 and 8, or at 0, 2, 4, 6 and 8.
    assert calls == [8, 8 * 3, 8 * 5]


LONG = ["--frames", "13"]
WRONG = {
    "none": (["--frames", "0"], "frames 0: expected a whole number of frames, 1 or more"),
    "negative": (["--frames=-3"], "frames -3: expected"),
    "text": (["--frames", "many"], "'--frames': got 'many'"),
    "whole window": ([*LONG, "--overlap", "5"], "overlap 5: a window has the ensemble's 5 frames"),
    "more": ([*LONG, "--overlap", "50"], "expected fewer in common, at most 4"),
    "negative overlap": ([*LONG, "--overlap=-1"], "overlap -1: expected a whole number of frames, 0 or more"),
    "overlap of nothing": (["--overlap", "2"], "--overlap beside clips of 5 frames"),
    "overlap of a short clip": (["--frames", "3", "--overlap", "2"], "--overlap beside clips of 3 frames"),
}


@pytest.mark.parametrize("command", ["sample", "plan"])
@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line(case: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    args, words = WRONG[case]
    start = {"sample": ["sample", RUN, "-o", "a.mp4"], "plan": ["plan", "--time", "-o", "a.png"]}[command]
    assert main([*start, *args, "--ensemble", "toy"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("jvid: error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert list(Path().iterdir()) == []
    assert built == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--frames", "13"], "--frames without --time"),
        (["--overlap", "2"], "--overlap beside clips of 5 frames"),
    ],
)
def test_plan_refuses_what_it_would_not_use(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--ensemble", "toy", *args]) == 2
    assert words in capsys.readouterr().err
