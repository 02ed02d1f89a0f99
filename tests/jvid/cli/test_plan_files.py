"""Plans that the command line saves, replays, prices and times, with the toy ensemble."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import torch

from jvid.cli import main
from jvid.core.plan import Plan
from jvid.core.planning import draw_plan, levels_of
from jvid.ensemble import compose
from jvid.grids import Explicit, Leading
from jvid.media import ENDINGS, read_latents, read_metadata
from jvid.schedules import FlowMatching
from jvid.selectors import Blend, Boundary, Table
from jvid.strategy import Strategy
from jvid.strategy.plan_file import load_plan, save_plan
from tests import toy
from tests.toy import SCHEDULE, SHAPE, STRATEGY, built, toy_ensemble

WAVE = "a person waving"


pytestmark = pytest.mark.usefixtures("toys")


def printed(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> str:
    """What a command prints; of one that is refused its one line."""
    assert main([*args]) == code
    out, err = capsys.readouterr()
    if code:
        assert out == ""
        assert err.startswith("jvid: error: ")
        assert err.count("\n") == 1
        return err
    return out


def write(name: str, selector: object, times: object = None, schedule: object = SCHEDULE) -> Plan:
    experts = tuple(dict.fromkeys(selector.experts))  # type: ignore[attr-defined]
    levels = levels_of(times or Leading(8), schedule)  # type: ignore[arg-type]
    plan = draw_plan(selector, levels, experts, 5)  # type: ignore[arg-type]
    save_plan(plan, name)
    return plan


def rows(text: str) -> dict[str, list[str]]:
    """The price table: what stands behind each expert."""
    lines = text.split("expert  calls")[1].splitlines()[1:]
    return {
        line[:6].strip(): line[6:].split()
        for line in lines
        if line[:6].strip() in ("video", "image", "in all")
    }


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("solver", ["ddpm", "dpmpp-2m", "heun"])
def test_a_saved_plan_gives_the_same_clip_and_again(ending: str, solver: str) -> None:
    options = [
        "--steps",
        "7",
        "--plan-seed",
        "4",
        "--selector",
        "random:experts=video+image,probabilities=.6+.4",
    ]
    sample = ["sample", WAVE, "--ensemble", "toy", "--solver", solver, "--seed", "3"]
    assert main([*sample, *options, "-o", "drawn.safetensors"]) == 0
    assert main(["plan", "--ensemble", "toy", *options, "-o", "plan.json"]) == 0
    assert main([*sample, "--plan", "plan.json", "-o", "replayed.safetensors", "-o", f"one{ending}"]) == 0
    assert torch.equal(read_latents("drawn.safetensors"), read_latents("replayed.safetensors"))
    assert Plan.from_dict(read_metadata(f"one{ending}")["plan"]) == load_plan("plan.json")
    Path("plan.json").unlink()
    assert main(["sample", "--again", f"one{ending}", "-o", "again.safetensors", "-o", f"two{ending}"]) == 0
    assert torch.equal(read_latents("drawn.safetensors"), read_latents("again.safetensors"))
    assert Path(f"one{ending}").read_bytes() == Path(f"two{ending}").read_bytes()


BLENDED = Blend("image+video", [(0, (0.2, 0.8)), (1, (0.9, 0.1))])
ZIGZAG = Explicit([1.0, 0.6, 0.3, 0.7, 0.3, 0.0])


@pytest.mark.parametrize("times", [Leading(8), ZIGZAG])
@pytest.mark.parametrize("selector", [BLENDED, Boundary("image+video", 0.5), Table(["image"] * 8)])
def test_a_replay_is_the_sampler_with_that_plan(times: object, selector: object) -> None:
    if isinstance(selector, Table):
        selector = Table(["image"] * (len(times()) - 1))  # type: ignore[operator]
    plan = write("plan.json", selector, times)
    assert main(["sample", WAVE, "--ensemble", "toy", "--plan", "plan.json", "-o", "a.safetensors"]) == 0
    # A network that no step asks is not loaded.
    assert set(built) == {name for name, count in plan.counts.items() if count}
    ensemble = toy_ensemble()
    both = attrs.evolve(STRATEGY, selector="random:experts=video+image")
    expected = compose(both, ensemble)(SHAPE, seeds=[0], cond=ensemble.condition([WAVE]), plan=plan)
    assert torch.equal(read_latents("a.safetensors"), expected)


def test_an_expert_that_is_named_and_never_evaluated_costs_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = attrs.evolve(write("plan.json", Table(["image"] * 8)), experts=("video", "image", "refiner"))
    save_plan(plan, "plan.json")
    text = printed(capsys, "sample", WAVE, "--ensemble", "toy", "--plan", "plan.json", "-o", "a.safetensors")
    assert built == ["image"]
    assert "refiner     0 calls" in text
    assert "image     8 calls" in text
    assert "replayed plan of seed 5" in text


def test_again_with_another_plan_or_with_none() -> None:
    write("one.json", Table(["image"] * 8))
    write("two.json", Table(["video"] * 8))
    assert main(["sample", WAVE, "--ensemble", "toy", "--plan", "one.json", "-o", "a.safetensors"]) == 0
    assert main(["sample", "--again", "a.safetensors", "--plan", "two.json", "-o", "b.safetensors"]) == 0
    assert Plan.from_dict(read_metadata("b.safetensors")["plan"]) == load_plan("two.json")
    assert not torch.equal(read_latents("a.safetensors"), read_latents("b.safetensors"))
    assert main(["sample", WAVE, "--ensemble", "toy", "-o", "c.safetensors"]) == 0
    assert read_metadata("c.safetensors")["plan"] is None


UNFIT: dict[str, tuple[Callable[[], object], str]] = {
    "absent": (lambda: None, "no file 'plan.json'"),
    "no JSON": (lambda: Path("plan.json").write_text("steps: 3"), "plan.json is not JSON"),
    "no plan": (lambda: Path("plan.json").write_text('{"a": 1}'), "plan.json: not a plan"),
    "experts": (lambda: write("plan.json", Boundary("video+refiner", 0.5)), "the plan names expert 'refiner'"),
    "schedule": (
        lambda: write("plan.json", BLENDED, [0.9, 0.5, 0.0], FlowMatching()), "the plan is of another schedule"
    ),
    "noisy end": (lambda: write("plan.json", BLENDED, [0.9, 0.5]), "the plan ends at t 0.5: expected 0"),
}  # fmt: skip


@pytest.mark.parametrize("command", [("sample", WAVE, "-o", "a.png"), ("plan",)], ids=lambda args: args[0])
@pytest.mark.parametrize("case", UNFIT)
def test_a_plan_that_does_not_fit_is_refused_before_a_network_is_loaded(
    case: str, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = UNFIT[case]
    make()
    assert words in printed(capsys, *command, "--ensemble", "toy", "--plan", "plan.json", code=2)
    assert built == []
    assert not Path("a.png").exists()


@pytest.mark.parametrize(
    "option", ["--steps=4", "--grid=trailing", "--selector=always:name=video", "--plan-seed=1"]
)
@pytest.mark.parametrize("how", ["sample", "again", "plan"])
def test_what_draws_a_plan_is_refused_beside_one(
    how: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("plan.json", BLENDED)
    assert main(["sample", WAVE, "--ensemble", "toy", "--plan", "plan.json", "-o", "a.png"]) == 0
    capsys.readouterr()
    commands = {
        "sample": ["sample", WAVE, "--ensemble", "toy", "--plan", "plan.json", "-o", "b.png"],
        "again": ["sample", "--again", "a.png", "-o", "b.png"],
        "plan": ["plan", "--plan", "plan.json"],
    }
    stated = printed(capsys, *commands[how], option, code=2)
    assert f"{option.partition('=')[0]} beside --{'plan' if how != 'again' else 'again'}" in stated
    assert not Path("b.png").exists()


def test_a_plan_is_shown_whatever_its_experts_and_schedule(capsys: pytest.CaptureFixture[str]) -> None:
    plan = write("plan.json", Boundary("base+middle+refiner", [0.3, 0.6]), Leading(20), FlowMatching())
    text = printed(
        capsys, "plan", "--plan", "plan.json", "-o", "copy.json", "-o", "plan.png", "--solver", "heun"
    )
    assert plan.summary() in text
    assert "refiner     15" in text
    assert load_plan("copy.json") == plan
    assert Path("plan.png").read_bytes().startswith(b"\x89PNG")
    assert built == []


def test_the_price_of_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ["plan", "--ensemble", "toy", "--selector", "boundary:experts=video+image,at=.4", "--steps", "10"]
    assert rows(printed(capsys, *shown)) == {"video": ["4"], "image": ["6"], "in all": ["10"]}
    assert rows(printed(capsys, *shown, "--seconds", "video=2,image=.05")) == {
        "video": ["4", "2.00", "8.00"], "image": ["6", "0.05", "0.3"], "in all": ["10", "8.30"]
    }  # fmt: skip
    assert rows(printed(capsys, *shown, "--seconds", "video=2,image=1", "--solver", "heun")) == {
        "video": ["8", "2.00", "16.00"], "image": ["11", "1.00", "11.00"], "in all": ["19", "27.00"]
    }  # fmt: skip
    # Without a figure for each there is no sum.
    assert rows(printed(capsys, *shown, "--seconds", "video=2")) == {
        "video": ["4", "2.00", "8.00"], "image": ["6"], "in all": ["10"]
    }  # fmt: skip
    assert built == []


@pytest.mark.parametrize(
    "text", ["video", "video=x", "video=-1", "video=nan", "video=inf", "=1", "vidoe=1", "video=1,video=2"]
)
def test_seconds_that_are_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--seconds" in printed(capsys, "plan", "--ensemble", "toy", "--seconds", text, code=2)


def test_time_calls_each_expert_of_the_plan_guided_as_the_strategy_states(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import time

    calls: list[tuple[float, int]] = []
    clock = [0.0]
    usual = toy.Conditional.__call__

    def watched(self: toy.Conditional, x: torch.Tensor, t: torch.Tensor, cond: object) -> torch.Tensor:
        calls.append((self.std, len(x)))
        # The first is slow, as first calls are; of the others the second is an accident.
        slow = {1: 50.0, 3: 9.0}.get(sum(std == self.std for std, _ in calls), 1.0)
        clock[0] += slow * (0.25 if self.std == 0.5 else 0.125)
        return usual(self, x, t, cond)  # type: ignore[arg-type]

    monkeypatch.setattr(toy.Conditional, "__call__", watched)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    drawn = ["plan", "--ensemble", "toy", "--selector", "boundary:experts=video+image,at=.4", "--steps", "10"]
    assert rows(printed(capsys, *drawn, "--time")) == {
        "video": ["4", "0.25", "1.00"], "image": ["6", "0.125", "0.75"], "in all": ["10", "1.75"]
    }  # fmt: skip
    # Two halves of a clip's guidance; the image expert has five frames for a batch. Each in its turn.
    assert calls == [(0.5, 2), (0.8, 10)] * 4
    calls.clear()
    printed(capsys, *drawn, "--time", "--guidance", "1")
    assert calls == [(0.5, 1), (0.8, 5)] * 4
    # Of a plan from a file only what it calls.
    calls.clear()
    write("plan.json", Table(["image"] * 8))
    text = printed(capsys, "plan", "--ensemble", "toy", "--plan", "plan.json", "--time")
    assert rows(text) == {"image": ["8", "0.125", "1.00"], "in all": ["8", "1.00"]}
    assert calls == [(0.8, 10)] * 4


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--seconds", "video=1"], "--time beside --seconds"),
        (["--ensemble", "none"], "--time beside --ensemble none"),
        (["--device", "abacus"], "--device 'abacus' cannot be used"),
    ],
)
def test_time_that_cannot_be_taken(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    pair = [] if "--ensemble" in args else ["--ensemble", "toy"]
    assert words in printed(capsys, "plan", "--time", *pair, *args, code=2)
    assert built == []


def test_guidance_changes_the_price_of_a_plan_alone(capsys: pytest.CaptureFixture[str]) -> None:
    shown = ["plan", "--ensemble", "toy", "--selector", "always:name=video", "--json", "-o", "plan.json"]
    found, plans = [], []
    for more in ([], ["--guidance", "1"], ["--guidance", "video:scale=2,low=.3,high=.6"]):
        stated = json.loads(printed(capsys, *shown, "--seconds", "video=2", *more))["experts"]["video"]
        found.append((stated["calls"], stated["evaluations"]))
        plans.append(Path("plan.json").read_bytes())
    # Times are 1 - 1/8 and so on down: of 8 steps two lie within the interval.
    assert found == [(8, 16), (8, 8), (8, 10)]
    assert len(set(plans)) == 1


def test_older_files_that_have_nothing_of_a_plan_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    from jvid.pipeline.record import Record

    assert main(["sample", WAVE, "--ensemble", "toy", "-o", "a.safetensors"]) == 0
    stated = read_metadata("a.safetensors")
    del stated["plan"]
    assert Record.read(stated).plan is None
    assert Strategy.from_dict(stated["strategy"]) == Record.read(stated).strategy
    assert json.loads(json.dumps(stated)) == stated
