"""Experts composed on the command line: sampled, planned, recorded in the clip, and made again from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from jvid.cli import main
from jvid.cli.ensembles import EnsembleOptions, default_source, named
from jvid.core.protocols import Condition, NoiseSchedule
from jvid.core.spaces import LatentSpace
from jvid.ensemble import Source, compose
from jvid.errors import InputError
from jvid.media import read_latents, read_metadata
from jvid.plugins import builtins, hookimpl
from jvid.plugins.registry import Registry, current, using
from jvid.schedules import FlowMatching
from jvid.strategy import Strategy
from jvid.testing import GaussianOracle
from tests.toy import built

pytestmark = pytest.mark.usefixtures("toys")
A, B = (
    "gaussian:mean=.5,std=.1,schedule=scaled-linear",
    "gaussian:mean=-.2,std=.3,schedule=flow-matching:shift=3",
)
TWO = ["--expert", f"a={A}", "--expert", f"b={B.replace('flow-matching:shift=3', '(flow-matching:shift=3)')}"]
WHOLE = [
    *TWO,
    "--codec",
    "pixels",
    "--shape",
    "3,4,8,8",
    "--selector",
    "boundary:experts=a+b,at=.5",
    "--steps",
    "6",
]


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def test_a_clip_of_experts_composed_on_the_spot(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "x", *WHOLE, "-o", "x.mp4", "-o", "x.safetensors"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    # t is .831, .665, .499, ...: the third step is past the boundary at .5.
    assert "a     2 calls" in printed.out
    assert "b     4 calls" in printed.out
    assert printed.out.splitlines()[-2:] == ["x.mp4", "x.safetensors"]
    source = Source.from_plain(read_metadata("x.mp4")["ensemble"])
    experts = {"a": A, "b": B.replace("flow-matching:shift=3", "(flow-matching:shift=3)")}
    assert source == Source(experts=experts, codec="pixels", shape=(3, 4, 8, 8))
    ensemble = source.load()
    strategy = Strategy("boundary:experts=a+b,at=.5", steps=6)
    expected = compose(strategy, ensemble)(ensemble.shape, seeds=[0], cond={})
    assert torch.equal(read_latents("x.safetensors"), expected)
    # Back from the clip alone.
    assert main(["sample", "--again", "x.mp4", "-o", "y.safetensors", "-o", "y.mp4"]) == 0
    assert Path("y.mp4").read_bytes() == Path("x.mp4").read_bytes()
    assert torch.equal(read_latents("y.safetensors"), expected)


def test_experts_are_added_to_an_ensemble() -> None:
    early = ["--ensemble", "toy", "--expert", "early=gaussian:std=1.5,schedule=scaled-linear"]
    args = [
        "a person waving",
        *early,
        "--guidance",
        "video:scale=2,against=early",
        "--selector",
        "always:name=video",
    ]
    assert main(["sample", *args, "-o", "led.safetensors"]) == 0
    assert built == ["video"]
    plain = ["a person waving", "--ensemble", "toy", "--selector", "always:name=video"]
    assert main(["sample", *plain, "-o", "plain.safetensors"]) == 0
    assert not torch.equal(read_latents("led.safetensors"), read_latents("plain.safetensors"))
    assert read_metadata("led.safetensors")["ensemble"]["name"] == "toy"
    assert main(["sample", "--again", "led.safetensors", "-o", "again.safetensors"]) == 0
    assert torch.equal(read_latents("led.safetensors"), read_latents("again.safetensors"))


def test_an_ensemble_that_recommends_no_strategy_takes_its_experts_in_turn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    three = [word for name in "abc" for word in ("--expert", f"{name}={A}")]
    found = []
    for experts in (three, three[:2]):
        assert (
            main(["plan", *experts, "--shape", "3,4,8,8", "--steps", "6", "--json", "-o", "plan.json"]) == 0
        )
        found.append(json.loads(capsys.readouterr().out)["strategy"]["selector"])
        steps = json.loads(Path("plan.json").read_text())["steps"]
        found.append("".join(name for step in steps for name in step["weights"]))
    assert found == ["cycle:experts=a+b+c", "abcabc", "always:name=a", "aaaaaa"]


def test_a_summary_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    args = [
        "sample",
        "x",
        "y",
        *WHOLE,
        "--seed",
        "7",
        "--num",
        "2",
        "-o",
        "x.safetensors",
        "-o",
        "x.gif",
        "--json",
    ]
    assert main([*args, "--save-strategy", "mine.json"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.count("\n") == 1
    stated = json.loads(printed.out)
    assert stated["files"] == ["x.safetensors", "x-0.gif", "x-1.gif", "x-2.gif", "x-3.gif", "mine.json"]
    assert stated["clips"] == [{"prompt": p, "seed": s} for p in "xy" for s in (7, 8)]
    assert set(stated["calls"]) == set(stated["seconds"]) == {"a", "b"}
    assert sum(stated["batches"]) == 4
    assert stated["calls"] == {"a": 2 * len(stated["batches"]), "b": 4 * len(stated["batches"])}
    assert (stated["frames"], stated["decoding"] > 0) == (4, True)
    assert Strategy.from_dict(stated["strategy"]) == Strategy.load("mine.json")
    assert Source.from_plain(stated["ensemble"]).experts["a"] == A
    assert main(["plan", *WHOLE, "--seconds", "a=2,b=1", "--json", "-o", "plan.json"]) == 0
    stated = json.loads(capsys.readouterr().out)
    assert (stated["steps"], stated["switches"], stated["seconds"], stated["files"]) == (
        6,
        1,
        8.0,
        ["plan.json"],
    )
    assert {name: each["calls"] for name, each in stated["experts"].items()} == {"a": 2, "b": 4}
    assert Strategy.from_dict(stated["strategy"]).steps == 6


def test_progress_is_on_stderr_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    monkeypatch.setattr(Console, "is_terminal", property(lambda self: True))
    assert main(["sample", "x", *WHOLE, "-o", "x.safetensors", "--json"]) == 0
    printed = capsys.readouterr()
    assert "steps" in printed.err
    assert json.loads(printed.out)["files"] == ["x.safetensors"]  # stdout is the object alone


def test_unconditional_clips_need_no_prompt_and_no_encoder() -> None:
    assert main(["sample", "--unconditional", *WHOLE, "-o", "x.safetensors"]) == 0
    assert main(["sample", "whatever", *WHOLE, "-o", "y.safetensors"]) == 0
    assert torch.equal(read_latents("x.safetensors"), read_latents("y.safetensors"))


def test_frames_and_rate_are_the_ensembles() -> None:
    assert (
        main(["sample", "x", *WHOLE, "--frames", "6", "--overlap", "2", "--fps", "24", "-o", "x.safetensors"])
        == 0
    )
    assert read_latents("x.safetensors").shape == (1, 3, 6, 8, 8)
    stated = read_metadata("x.safetensors")
    assert (stated["fps"], stated["frames"], stated["ensemble"]["fps"]) == (24.0, 6, 24.0)


@attrs.frozen
class Elsewhere:
    """An oracle that declares the latent space of an autoencoder of its own."""

    oracle: GaussianOracle
    autoencoder: str

    @property
    def schedule(self) -> NoiseSchedule:
        return self.oracle.schedule

    @property
    def space(self) -> LatentSpace:
        return LatentSpace(self.autoencoder, channels=3)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return self.oracle(x, t, cond)


@pytest.fixture
def elsewhere(toys: None) -> list[str]:
    @hookimpl
    def jvid_register(register: Any) -> None:
        register.denoiser(
            "elsewhere", lambda space="none": Elsewhere(GaussianOracle(FlowMatching(), 0.3, 0.5), space)
        )

    current().add(jvid_register, "spaces", "spaces 1.0")
    words = [f"--expert={name}=elsewhere:space={name}-vae" for name in "ab"]
    return [*words, "--shape", "3,4,8,8", "--selector", "cycle:experts=a+b", "--steps", "2"]


def test_spaces_that_differ_are_one_by_an_option(
    elsewhere: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    sample = ["sample", "x", *elsewhere, "-o", "x.safetensors"]
    assert main(sample) == 2
    assert "do not share a latent space" in (error := capsys.readouterr().err)
    assert "--same-space" in error
    assert main([*sample, "--same-space"]) == 0
    assert read_metadata("x.safetensors")["ensemble"]["same_space"] is True
    source = Source(
        experts={name: f"elsewhere:space={name}-vae" for name in "ab"}, shape=(3, 4, 8, 8), same_space=True
    )
    expected = compose(Strategy("cycle:experts=a+b", steps=2), source.load())((3, 4, 8, 8), seeds=[0])
    assert torch.equal(read_latents("x.safetensors"), expected)
    assert main(["sample", "--again", "x.safetensors", "-o", "y.safetensors"]) == 0
    assert torch.equal(read_latents("y.safetensors"), expected)
    # The file's ensemble is kept where the option is given beside it.
    assert main(["sample", "--again", "x.safetensors", "--same-space", "-o", "z.safetensors"]) == 0
    assert read_metadata("z.safetensors")["ensemble"] == source.to_plain()
    assert main(["plan", *elsewhere, "--same-space", "--time"]) == 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None), ({"ensemble": "toy"}, Source("toy")), ({"fps": 3.0}, Source("toy", fps=3.0)),
        ({"expert": ["a = x:b=1", "c=d#e"]}, Source(experts={"a": "x:b=1", "c": "d#e"})),
        ({"expert": ["a=x"], "ensemble": "toy", "text": ["minilm", "a=clip:path=p"]},
         Source("toy", {"a": "x"}, {"*": "minilm", "a": "clip:path=p"})),
        ({"expert": ["a=x"], "shape": "4,16,32x32"}, Source(experts={"a": "x"}, shape=(4, 16, 32, 32))),
        ({"expert": ["a=x"], "same_space": True}, Source(experts={"a": "x"}, same_space=True)),
        ({"same_space": True}, Source("toy", same_space=True)),
    ],
)  # fmt: skip
def test_options_make_a_source(options: dict[str, Any], expected: Source | None) -> None:
    assert EnsembleOptions(**options).source() == expected


def test_a_name_before_a_choice_is_an_experts() -> None:
    assert named("high=guided:scale=3") == ("high", "guided:scale=3")
    assert named("guided:scale=3") == ("*", "guided:scale=3")
    assert named("cached") == ("*", "cached")
    assert named("high = none") == ("high", "none")


def test_without_an_ensemble_there_is_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    registry = Registry(entry_points=False)
    registry.add(builtins, "builtin")
    with using(registry):
        with pytest.raises(
            InputError, match=r"no ensemble is installed: .*--ensemble FOLDER.*--expert NAME=SOURCE"
        ):
            default_source()
        assert main(["sample", "x", "-o", "x.mp4"]) == 2
        assert main(["sample", "x", *WHOLE, "-o", "x.safetensors"]) == 0
    assert "pip install 'jvid[models]'" in capsys.readouterr().err


WRONG = {
    "form": (["--expert", "gaussian"], "--expert 'gaussian': expected NAME=SOURCE, such as video=FOLDER"),
    "no name": (["--expert", A], "--expert 'gaussian:mean=.5"), "empty": (["--expert", "a="], "--expert 'a='"),
    "twice": ([*TWO, "--expert", f"a={A}"], "--expert 'a' is given twice"),
    "encoder twice": ([*TWO, "--text", "minilm", "--text", "clip"], "a text encoder of * is given twice"),
    "encoder of another": ([*TWO, "--shape", "3,4,8,8", "--text", "high=table:path=x"], "text for expert 'high': expected one"),
    "encoder's expert": ([*TWO, "--shape", "3,4,8,8", "--text", "a=table:path=x"], "unknown text 'table'"),
    "shape": ([*TWO, "--shape", "3,4,8"], "--shape '3,4,8': expected four sizes of latents"),
    "shape of text": ([*TWO, "--shape", "a,b,c,d"], "--shape 'a,b,c,d'"), "no size": ([*TWO, "--shape", "3,0,8,8"], "--shape"),
    "no shape": (TWO, "experts a, b come without a shape of clips: give --shape C,F,H,W"),
    "no folder": (["--ensemble", "models/nothing"], "no folder 'models/nothing': expected that of an ensemble or a pipeline"),
    "unknown": (["--expert", "high=wan/high"], "expert 'high': 'wan/high' is no folder of an ensemble or of a model"),
    "option": (["--expert", "a=gaussian:schedule=cosine,deviation=2"], "expert 'a': denoiser 'gaussian' has no option 'devi"),
    "ensemble's expert": (["--expert", "a=toy#audio"], "expert 'a': ensemble 'toy' has no expert 'audio'"),
    "name": (["--expert", f"a b={A}", "--shape", "3,4,8,8"], "expert 'a b' of ensemble"),
    "selector of others": ([*TWO, "--shape", "3,4,8,8", "--selector", "boundary:experts=high+low,at=.5"],
                           "selector 'boundary' names expert 'high': expected those of ensemble 'composed', a, b"),
    "paper": ([*TWO, "--shape", "3,4,8,8", "--paper", "64"], "selector 'piecewise-affine' names expert 'video'"),
    "no codec": ([*TWO, "--shape", "3,4,8,8"], "ensemble 'composed' has no codec: keep latents (.safetensors)"),
    "codec": ([*TWO, "--shape", "3,4,8,8", "--codec", "pixel"], "unknown codec 'pixel': did you mean pixels"),
    "channels": ([*TWO, "--shape", "4,4,8,8", "--codec", "pixels", "--steps", "1"], "PixelCodec got 4 channels"),
    "fps": ([*TWO, "--shape", "3,4,8,8", "--fps", "0"], "ensemble.fps 0.0"), "negative fps": ([*TWO, "--fps", "-1"], "fps"),
    "gamma": ([*TWO, "--shape", "3,4,8,8", "--gamma", ".5"], "the ensemble has no expert of frames, name one as NAME=.5"),
    "guidance": ([*TWO, "--shape", "3,4,8,8", "--codec", "pixels", "--guidance", "2"], "expert 'a' has no text encoder"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_one_line_and_nothing_is_written(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    args, words = WRONG[case]
    assert main(["sample", "x", *args, "-o", "x.gif"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("jvid: error: ")
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert files() == []
    assert built == []
