"""``--guidance`` by expert, ``--strategy`` and ``--save-strategy``: what they make, repeat and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
import torch

from jvid import paper
from jvid.cli import main
from jvid.ensemble import Composition, compose
from jvid.media import ENDINGS, read_latents, read_metadata
from jvid.strategy import Guidance, Strategy
from jvid.strategy.shorthand import guidance_of, with_guidance
from tests.toy import SHAPE, STRATEGY, built, toy_ensemble

WAVE = "a person waving"
RUN = "a person running"
WHOLE = "video:scale=3,low=.2,high=.8,rescale=.5"


pytestmark = pytest.mark.usefixtures("toys")


def files() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def latents(*args: str, name: str = "z.safetensors") -> torch.Tensor:
    assert main(["sample", *args, "--ensemble", "toy", "-o", name]) == 0
    return read_latents(name)


def test_guidance_reaches_the_experts() -> None:
    ensemble = toy_ensemble()
    options = ["--guidance", WHOLE, "--guidance", "image=1.5"]
    made = latents(WAVE, *options)
    guidance = {"video": Guidance(3, (0.2, 0.8), 0.5), "image": Guidance(1.5)}
    sampler = compose(with_guidance(STRATEGY, guidance), ensemble)
    assert torch.equal(made, sampler(SHAPE, seeds=[0], cond=ensemble.condition([WAVE])))
    assert torch.equal(latents(WAVE), latents(WAVE, "--guidance", "video=2,image=2"))
    for other in (["image=1.5"], [WHOLE], ["video:scale=3,rescale=.5", "image=1.5"]):
        assert not torch.equal(
            made, latents(WAVE, *(word for text in other for word in ("--guidance", text)))
        )


@pytest.mark.parametrize("ending", ENDINGS)
def test_again_repeats_guidance_by_expert_bit_for_bit(ending: str) -> None:
    options = ["--seed", "11", "--guidance", WHOLE, "--guidance", "image=4", "--solver", "ddim:eta=.6"]
    first = latents(RUN, *options, "-o", f"one{ending}")
    assert main(["sample", "--again", f"one{ending}", "-o", "y.safetensors", "-o", f"two{ending}"]) == 0
    assert torch.equal(first, read_latents("y.safetensors"))
    assert Path(f"one{ending}").read_bytes() == Path(f"two{ending}").read_bytes()
    # Another scale for one expert leaves the other's as it was.
    assert main(["sample", "--again", f"one{ending}", "-o", "x.safetensors", "--guidance", "image=2"]) == 0
    changed = Strategy.from_dict(read_metadata("x.safetensors")["strategy"])
    found = {name: guidance_of(changed, name) for name in ("video", "image")}
    assert found == {"video": Guidance(3, (0.2, 0.8), 0.5), "image": Guidance(2)}
    assert not torch.equal(first, read_latents("x.safetensors"))


def test_a_saved_strategy_makes_the_same_clip_bit_for_bit(capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--steps", "6", "--guidance", "3", "--guidance", "image:scale=2,low=.1,rescale=.5", "--gamma", "video=.7,image=.1",
        "--ratio", ".3", "--smooth", "gaussian:std=.7", "--selector", "piecewise-affine:t_v=.1,t_e=.5,p_e=.4,p_f=.2",
        "--solver", "ddim:eta=.6", "--grid", "trailing", "--plan-seed", "4",
    ]  # fmt: skip
    first = latents(RUN, *options, "--save-strategy", "mine.json")
    assert capsys.readouterr().out.splitlines()[-2:] == ["z.safetensors", "mine.json"]
    stated = read_metadata("z.safetensors")
    assert json.loads(Path("mine.json").read_text()) == stated["strategy"]
    second = latents(RUN, "--strategy", "mine.json", "--save-strategy", "again.json", name="y.safetensors")
    assert torch.equal(first, second)
    assert read_metadata("y.safetensors") == stated
    assert Path("again.json").read_bytes() == Path("mine.json").read_bytes()
    assert main(["sample", "--again", "y.safetensors", "-o", "x.safetensors"]) == 0
    assert torch.equal(first, read_latents("x.safetensors"))
    assert not torch.equal(first, latents(RUN))
    assert files() == ["again.json", "mine.json", "x.safetensors", "y.safetensors", "z.safetensors"]


def test_an_unconditional_clip_is_made_again_from_its_strategy() -> None:
    first = latents("--unconditional", "--steps", "5", "--save-strategy", "mine.json")
    assert Strategy.load("mine.json") == with_guidance(attrs.evolve(STRATEGY, steps=5), 0.0)
    assert torch.equal(first, latents("--unconditional", "--strategy", "mine.json"))


def test_options_change_the_strategy_of_a_file() -> None:
    paper.strategy(256).save("mine.json")
    made = latents(WAVE, "--strategy", "mine.json", "--steps", "5", "--guidance", "video=1")
    wanted = with_guidance(attrs.evolve(paper.strategy(256), steps=5), {"video": 1})
    assert Strategy.from_dict(read_metadata("z.safetensors")["strategy"]) == wanted
    assert torch.equal(made, latents(WAVE, "--paper", "256", "--steps", "5", "--guidance", "video=1"))


@pytest.mark.parametrize("ensemble", ["toy", "none"])
def test_plan_draws_the_strategy_of_a_file(ensemble: str) -> None:
    strategy = attrs.evolve(paper.strategy(256), steps=9, plan_seed=3)
    strategy.save("mine.json")
    args = ["plan", "--strategy", "mine.json", "--ensemble", ensemble, "-o", "plan.json"]
    assert main(args) == 0
    assert json.loads(Path("plan.json").read_text()) == Composition(strategy).plan().to_dict()
    assert main([*args, "--steps", "20"]) == 0
    changed = Composition(attrs.evolve(strategy, steps=20)).plan()
    assert json.loads(Path("plan.json").read_text()) == changed.to_dict()
    assert built == []


WRONG_GUIDANCE = {
    "much": "expected a number, video=2,image=3, or video:scale=2,low=.2,high=.8,rescale=.5",
    "": "expected a number", "true": "expected a number", "video=": "expected a number", "=2": "expected a number",
    "video=2,": "expected a number", "video=x": "expected a number", "2,3": "the scale of all is given twice",
    "video=2,video=3": "video is given twice",
    "inf": "expected a finite number", "video=nan": "expected a finite number",
    "video:low=.2": "no scale",
    "video:scale=2,lo=.2": "guided got 'lo': expected scale, low, high, rescale, against",
    "video:scale=2,low=.8,high=.2": "low <= high", "video:scale=2,low=none,high=x": "two numbers",
    "video:scale=2,rescale=2": "from 0 (none) to 1", "video:scale=much": "got scale='much'", "video:": "expected",
    "video:scale=2,scale=3": "gives 'scale' twice", "video:2": "expected option=value",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG_GUIDANCE)
def test_wrong_guidance_is_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", WAVE, "--ensemble", "toy", "-o", "a.mp4", "--guidance", text]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"jvid: error: --guidance {text!r}: ")
    assert printed.err.count("\n") == 1
    assert WRONG_GUIDANCE[text] in printed.err
    assert files() == []
    assert built == []


ALWAYS = '{"selector": "always:name=video", '
WRONG_FILES = {
    "absent": (None, "no file"),
    "no JSON": ("steps = 3", "is not JSON"),
    "no object": ("3", "holds a JSON number: expected a strategy"),
    "unknown key": (ALWAYS + '"step": 3}', "unknown key 'step', expected selector, solver, grid, steps"),
    "another form": (ALWAYS + '"steps": "many"}', "at steps: 'many': expected a whole number"),
    "out of range": (ALWAYS + '"steps": 0}', "steps 0: expected"),
    "older guidance": (
        ALWAYS + '"guidance": {"audio": 2}}',
        "at guidance: expert 'audio', expected one of video, image",
    ),
    "other experts": (
        ALWAYS + '"experts": {"high": {"noise": "independent"}}}',
        "names expert 'high': expected those of",
    ),
    "other selector": ('{"selector": "boundary:experts=high+low,at=.5"}', "'boundary' names expert 'high'"),
    "wrapper": (
        ALWAYS + '"experts": {"*": {"wrappers": ["gided"]}}}',
        "expert 'video': unknown wrapper 'gided'",
    ),
    "noise": (
        ALWAYS + '"experts": {"video": {"noise": "shared:ratio=2"}}}',
        "expert 'video': noise 'shared'",
    ),
    "unknown name": ('{"selector": "alway"}', "unknown selector 'alway': did you mean always"),
    "option": (ALWAYS + '"solver": "ddim:eta=7"}', "eta=7"),
}


@pytest.mark.parametrize("command", ["sample", "plan"])
@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_one_line_that_names_it(
    case: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, words = WRONG_FILES[case]
    if text is not None:
        Path("mine.json").write_text(text)
    before = files()
    args = {"sample": ["sample", WAVE, "-o", "a.mp4"], "plan": ["plan", "-o", "a.png"]}[command]
    assert main([*args, "--ensemble", "toy", "--strategy", "mine.json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("jvid: error: ")
    assert "mine.json" in printed.err
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert files() == before
    assert built == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["sample", WAVE, "-o", "a.mp4", "--strategy", "mine.json", "--paper", "64"], "--paper beside --strategy"),
        (["plan", "--strategy", "mine.json", "--paper", "64"], "--paper beside --strategy"),
        (["sample", "--again", "a.mp4", "-o", "b.mp4", "--strategy", "mine.json"], "--strategy beside --again"),
        (["sample", WAVE, "-o", "a.mp4", "--save-strategy", "mine.txt"], "expected .json"),
        (["sample", WAVE, "-o", "a.mp4", "--save-strategy", "no/mine.json"], "there is no folder 'no'"),
        (["sample", "--unconditional", "-o", "a.mp4", "--guidance", "video=2"], "leave one out"),
    ],
)  # fmt: skip
def test_what_contradicts_is_one_line(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    STRATEGY.save("mine.json")
    assert main([*args, "--ensemble", "toy"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert words in printed.err
    assert files() == ["mine.json"]
    assert built == []


@pytest.mark.parametrize(
    ("options", "unused"),
    [
        (["--gamma", ".5"], "image"),
        (["--guidance", "image=3", "--ratio", ".5"], "image"),
        (["--noise", "image=shared:ratio=.5"], "image"),
        (["--wrapper", "image=guided:scale=2"], "image"),
        (["--guidance", "3", "--gamma", "video=.5"], ""),
        (["--guidance", "video:scale=2,against=image", "--guidance", "image=2"], ""),
        ([], ""),
    ],
)
@pytest.mark.parametrize("ensemble", ["toy", "none"])
def test_options_of_an_expert_that_is_never_chosen_are_warned_of(
    options: list[str], unused: str, ensemble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            ["plan", "--ensemble", ensemble, "--selector", "always:name=video", "--solver", "ddpm", *options]
        )
        == 0
    )
    warned = f"jvid: warning: options of {unused} change nothing: selector always chooses video alone; leave them out, "
    drawn = capsys.readouterr().err
    assert drawn.startswith(warned) if unused else drawn == ""
    assert main(["plan", "--ensemble", ensemble, "--paper", "64", *options]) == 0
    assert capsys.readouterr().err == ""
