"""Any number of experts under any names, the same through Python, JSON, the commands, and back from a clip's metadata.

Three oracles of three schedules; Wan 2.2's strategy, whose two experts take turns at a stated level of a shifted flow; and
the paper's, on experts that have its names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import jvid
from jvid import paper
from jvid.cli import main
from jvid.core.protocols import level_at
from jvid.core.sampler import Sampler
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.grids import Trailing
from jvid.media import read_latents, read_metadata
from jvid.noise import MixedNoise
from jvid.postprocessors import TemporalSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.selectors import Boundary
from jvid.solvers import DPMPP2MSDE
from jvid.testing import GaussianOracle

pytestmark = pytest.mark.usefixtures("toys")

EXPERTS = {
    "base": "gaussian:mean=.5,std=.4,schedule=scaled-linear",
    "middle": "gaussian:mean=.5,std=.3,schedule=(flow-matching:shift=3)",
    "refiner": "gaussian:mean=.5,std=.2,schedule=variance-exploding,denoises=frames",
}
SOURCE = jvid.Source(experts=EXPERTS, codec="pixels", shape=(3, 4, 8, 8), fps=24.0)
STRATEGY = jvid.Strategy(
    "boundary:experts=base+middle+refiner,at=.3+.6",
    "dpmpp-2m-sde",
    "trailing",
    9,
    experts={
        "base": jvid.ExpertStrategy(("guided:scale=2,against=middle",), "mixed:alpha=1"),
        "refiner": jvid.ExpertStrategy(()),
    },
    postprocessors=("temporal:threshold=2",),
)
OPTIONS = [
    *(word for name, source in EXPERTS.items() for word in ("--expert", f"{name}={source}")),
    "--codec", "pixels", "--shape", "3,4,8,8", "--fps", "24",
]  # fmt: skip
CHANGES = [
    "--selector", "boundary:experts=base+middle+refiner,at=.3+.6", "--solver", "dpmpp-2m-sde", "--grid", "trailing",
    "--steps", "9", "--wrapper", "base=guided:scale=2,against=middle", "--wrapper", "refiner=none",
    "--noise", "base=mixed:alpha=1", "--postprocessor", "temporal:threshold=2",
]  # fmt: skip


def by_hand() -> torch.Tensor:
    base = GaussianOracle(TabulatedSchedule.scaled_linear(), 0.5, 0.4)
    middle = GaussianOracle(FlowMatching(3.0), 0.5, 0.3)
    refiner = Framewise(GaussianOracle(VarianceExploding(), 0.5, 0.2))
    sampler = Sampler(
        {
            "base": jvid.Expert(Guided(base, 2.0, against=jvid.Bridged(middle, base.schedule)), MixedNoise(1.0)),
            "middle": jvid.Expert(middle),
            "refiner": jvid.Expert(refiner),
        },
        Boundary("base+middle+refiner", [0.3, 0.6]), DPMPP2MSDE(), Trailing(9), postprocessors=(TemporalSmoothing(2.0),),
    )  # fmt: skip
    return sampler((3, 4, 8, 8), seeds=[11], cond={}, plan=0)


def test_three_experts_through_python_json_and_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    expected = by_hand()
    # Python.
    ensemble = SOURCE.load()
    sampler = jvid.compose(STRATEGY, ensemble)
    plan = sampler.plan(0)
    assert set(plan.counts) == set(EXPERTS)
    assert min(plan.counts.values()) >= 2
    assert torch.equal(sampler(ensemble.shape, seeds=[11], cond={}, plan=plan), expected)
    # JSON.
    STRATEGY.save("three.json")
    assert jvid.Strategy.load("three.json") == STRATEGY
    read = jvid.Source.from_plain(json.loads(json.dumps(SOURCE.to_plain())))
    assert torch.equal(
        jvid.compose(jvid.Strategy.load("three.json"), read.load())(ensemble.shape, seeds=[11], cond={}),
        expected,
    )
    # jvid plan, from options and from the file.
    for number, changes in enumerate((CHANGES, ["--strategy", "three.json"])):
        assert main(["plan", *OPTIONS, *changes, "-o", f"plan-{number}.json", "--json"]) == 0
        stated = json.loads(capsys.readouterr().out)
        assert jvid.Strategy.from_dict(stated["strategy"]) == STRATEGY
        assert {name: each["steps"] for name, each in stated["experts"].items()} == plan.counts
        assert jvid.load_plan(f"plan-{number}.json") == plan
    # jvid sample, likewise, and along the plan that was written.
    replayed = ["--strategy", "three.json", "--plan", "plan-0.json"]
    for number, changes in enumerate((CHANGES, ["--strategy", "three.json"], replayed)):
        files = ["-o", f"{number}.safetensors", "-o", f"{number}.mp4"]
        assert main(["sample", "x", "--seed", "11", *OPTIONS, *changes, *files]) == 0
        assert torch.equal(read_latents(f"{number}.safetensors"), expected)
        stated = read_metadata(f"{number}.mp4")
        assert jvid.Source.from_plain(stated["ensemble"]) == SOURCE
        assert (stated["fps"], stated["frames"]) == (24.0, 4)
        # And back from the clip alone.
        assert main(["sample", "--again", f"{number}.mp4", "-o", "again.safetensors", "-o", "again.mp4"]) == 0
        assert torch.equal(read_latents("again.safetensors"), expected)
        assert Path("again.mp4").read_bytes() == Path(f"{number}.mp4").read_bytes()


WAN = ["--solver", "unipc", "--steps", "20", "--selector"]


def wan(shift: float = 5.0) -> list[str]:
    """Two experts of one shifted flow, as Wan 2.2's: one for high noise, one for low."""
    experts = {
        name: f"gaussian:mean=.4,std={std},schedule=(flow-matching:shift={shift})"
        for name, std in (("high", 0.5), ("low", 0.3))
    }
    options = [word for name, each in experts.items() for word in ("--expert", f"{name}={each}")]
    return [*options, "--codec", "pixels", "--shape", "3,5,8,8"]


@pytest.mark.parametrize("at", ["at=.875", "at=.125", "at=875,by=timestep"])
def test_the_strategy_of_wan(at: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A boundary of progress, and of timesteps: the published change at t .875 is at .125 of progress."""
    chosen = f"boundary:experts=high+low,{at}"
    assert main(["plan", *wan(), *WAN, chosen, "-o", "plan.json"]) == 0
    assert "20 steps" in capsys.readouterr().out
    steps = jvid.load_plan("plan.json").steps
    if "timestep" in at:
        assert [step.expert for step in steps] == [
            "high" if step.start.t * 1000 - 1 > 875 else "low" for step in steps
        ]
    else:
        assert [step.expert for step in steps] == [
            "high" if step.progress < float(at[3:]) else "low" for step in steps
        ]
    assert {step.expert for step in steps} == {"high", "low"}
    # The reference is the experts' own schedule, so nothing is bridged and levels are those of the shifted flow.
    flow = FlowMatching(5.0)
    assert all(step.start == level_at(flow, step.start.t) for step in steps)
    assert main(["sample", "x", *wan(), *WAN, chosen, "-o", "wan.safetensors", "-o", "wan.mp4"]) == 0
    experts = {
        name: jvid.Expert(GaussianOracle(flow, 0.4, std)) for name, std in (("high", 0.5), ("low", 0.3))
    }
    selector = (
        Boundary("high+low", 875, by="timestep") if "timestep" in at else Boundary("high+low", float(at[3:]))
    )
    sampler = Sampler(experts, selector, jvid.UniPC(), jvid.Leading(20))
    assert torch.equal(read_latents("wan.safetensors"), sampler((3, 5, 8, 8), seeds=[0], cond={}))
    assert main(["sample", "--again", "wan.mp4", "-o", "again.safetensors"]) == 0
    assert torch.equal(read_latents("again.safetensors"), read_latents("wan.safetensors"))


def test_each_of_wans_experts_has_guidance_of_its_own() -> None:
    """--guidance by expert and --wrapper state the same stack."""
    turns = [*WAN, "boundary:experts=high+low,at=.875"]
    guided = [*turns, "--guidance", "high:scale=3,against=low", "--guidance", "low:scale=4,against=high"]
    stacked = [
        *turns,
        "--wrapper",
        "high=guided:scale=3.0,against=low",
        "--wrapper",
        "low=guided:scale=4.0,against=high",
    ]
    for name, args in (("one", guided), ("two", stacked)):
        assert main(["sample", "x", *wan(), *args, "-o", f"{name}.safetensors"]) == 0
    assert Path("one.safetensors").read_bytes() == Path("two.safetensors").read_bytes()


def test_the_papers_strategy_on_experts_of_its_names() -> None:
    schedule = "scaled-linear"
    experts = {
        "video": f"gaussian:std=.5,schedule={schedule}",
        "image": f"gaussian:std=.8,schedule={schedule},denoises=frames",
    }
    options = [word for name, source in experts.items() for word in ("--expert", f"{name}={source}")]
    args = [
        "x",
        *options,
        "--shape",
        "3,4,8,8",
        "--paper",
        "64",
        "--steps",
        "8",
        "--wrapper",
        "none",
        "--seed",
        "2",
    ]
    assert main(["sample", *args, "-o", "paper.safetensors"]) == 0
    video, image = (GaussianOracle(paper.SCHEDULE(), std=std) for std in (0.5, 0.8))
    ours = paper.sampler(video, image, 64, steps=8, guidance=1.0)
    assert torch.equal(read_latents("paper.safetensors"), ours((3, 4, 8, 8), seeds=[2], cond={}))
    stated: dict[str, Any] = read_metadata("paper.safetensors")["strategy"]
    assert stated["selector"].startswith("piecewise-affine:t_v=0.2,t_e=0.7")
    assert stated["experts"] == {"*": {"wrappers": []}, "image": {"noise": "scaled:gamma=0.02"}}
