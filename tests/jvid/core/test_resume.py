"""Resuming and replaying: bitwise what would have come, and refused where strategy, plan or schedule is another."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.fingerprint import check_same, fingerprint
from jvid.core.plan import Plan
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.core.state import State
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.denoisers.parameterized import Parameterized
from jvid.errors import InputError
from jvid.grids import Leading
from jvid.noise import SharedNoise
from jvid.postprocessors import TemporalSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule
from jvid.selectors import Always
from jvid.solvers import DDIM, DDPM, DPMPP2MSDE, Euler, EulerAncestral
from jvid.testing import GaussianOracle
from tests.jvid.core.test_sampler import HALF, SD, SHAPE, Momentum, mixture


def run_from(state: State, sampler: Sampler) -> State:
    return list(sampler.trace(resume=state))[-1]


@settings(max_examples=12)
@given(st.integers(0, 10), st.sampled_from([DDPM(), DDIM(0.3), Momentum()]), st.booleans())
def test_interrupt_and_resume_is_the_whole_run_bitwise(stop: int, solver: Any, stored: bool) -> None:
    whole = list(mixture(solver).trace(SHAPE, seeds=[1, 2], plan=4, dtype=torch.float64))
    trace = mixture(solver).trace(SHAPE, seeds=[1, 2], plan=4, dtype=torch.float64)
    state = next(s for s in trace if s.step.index == stop)
    trace.close()
    if stored:
        state = pickle.loads(pickle.dumps(state))
    resumed = run_from(state, mixture(solver))
    assert resumed.x.dtype == torch.float64
    assert torch.equal(resumed.x, whole[-1].x)
    assert torch.equal(mixture(solver)(resume=state), whole[-1].x)
    assert resumed.calls == whole[-1].calls
    assert resumed.step == whole[-1].step


def test_a_state_survives_torch_save_and_a_finished_run_has_nothing_left() -> None:
    sampler = mixture()
    states = list(sampler.trace(SHAPE, seeds=[1]))
    buffer = io.BytesIO()
    torch.save(states[4], buffer)
    buffer.seek(0)
    state = torch.load(buffer, weights_only=False)
    assert torch.equal(run_from(state, sampler).x, states[-1].x)
    assert list(sampler.trace(resume=states[-1])) == []
    assert torch.equal(sampler(resume=states[-1]), states[-1].x)


def test_resume_refuses_what_does_not_belong_to_it() -> None:
    sampler = mixture()
    state = next(sampler.trace(SHAPE, seeds=[1], plan=2))
    with pytest.raises(InputError, match="another plan"):
        sampler.trace(resume=state, plan=3)
    with pytest.raises(InputError, match=r"seeds \[2\] to resume a run of \[1\]"):
        sampler.trace(resume=state, seeds=[2])
    with pytest.raises(InputError, match="both x and resume"):
        sampler.trace(resume=state, x=state.x)
    assert list(sampler.trace(resume=state, seeds=[1], plan=2))


def network(x: Tensor, t: Tensor, cond: Any) -> Tensor:
    return 0.1 * x


def other(x: Tensor, t: Tensor, cond: Any) -> Tensor:
    return 0.2 * x


def guided(scale: float = 2.0, schedule: Any = SD, **options: Any) -> Sampler:
    null = {"text": torch.zeros(1, 2)}
    experts = {
        "video": Expert(Guided(Parameterized(network, schedule), scale, null)),
        "image": Expert(Guided(Framewise(Parameterized(network, schedule)), scale, null), SharedNoise(0.3)),
    }
    return Sampler(
        **{"experts": experts, "selector": HALF, "solver": DDIM(0.5), "grid": Leading(8)} | options
    )


COND = {"text": torch.ones(1, 2)}
EXPERTS = guided().experts
ANOTHER = {
    "guidance": (guided(3.0), "experts.video.denoiser.scale: got 3.0, expected 2.0"),
    "solver": (guided(solver=DDPM()), "solver: got DDPM, expected DDIM"),
    "option of the solver": (guided(solver=DDIM(0.25)), "solver.eta: got 0.25, expected 0.5"),
    "selector": (guided(selector=Always("image")), "selector: got Always, expected PiecewiseAffine"),
    "grid": (guided(grid=Leading(9)), "grid.steps: got 9, expected 8"),
    "postprocessors": (guided(postprocessors=[TemporalSmoothing(2.0)]), "postprocessors: got 1, expected nothing"),
    "initial noise": (guided(initial=SharedNoise(0.5)), "initial: got SharedNoise, expected None"),
    "schedule": (guided(schedule=TabulatedSchedule.linear()), "alphas_cumprod: got 1000 values"),
    "noise": (
        guided(experts=EXPERTS | {"image": attrs.evolve(EXPERTS["image"], noise=SharedNoise(0.1))}),
        "experts.image.noise.ratio: got 0.1, expected 0.3",
    ),
    "a wrapper less": (
        guided(experts=EXPERTS | {"video": Expert(EXPERTS["video"].denoiser.denoiser)}),
        "experts.video.denoiser: got Parameterized, expected Guided",
    ),
    "parameterization": (
        guided(experts=EXPERTS | {"video": Expert(Guided(Parameterized(network, SD, "v"), 2.0))}),
        "experts.video.denoiser.denoiser.prediction: got 'v', expected 'eps'",
    ),
    "an expert more": (guided(experts=EXPERTS | {"more": EXPERTS["video"]}), "got video, image, more, expected video, image"),
    "kind of network": (
        guided(experts=EXPERTS | {"video": Expert(Guided(Parameterized(other, SD), 2.0))}),
        "experts.video.denoiser.denoiser.network: got other, expected network",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ANOTHER)
def test_another_strategy_is_refused_by_what_differs(what: str) -> None:
    state = next(guided().trace(SHAPE, seeds=[1], cond=COND))
    sampler, printed = ANOTHER[what]
    with pytest.raises(InputError, match="the state to resume comes from another strategy; ") as caught:
        sampler.trace(resume=state, cond=COND)
    assert printed in str(caught.value)
    assert "x=state.x" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_strategy_built_anew_goes_on_whatever_its_weights() -> None:
    state = next(guided().trace(SHAPE, seeds=[1], cond=COND))
    assert list(guided().trace(resume=state, cond=COND))
    heavy = [
        Sampler({"a": Expert(Parameterized(torch.nn.Conv3d(4, 4, 1), SD))}, Always("a"), DDPM(), Leading(8))
        for _ in range(2)
    ]
    assert heavy[0]._fingerprint == heavy[1]._fingerprint


def test_a_fingerprint_reports_first_what_explains_the_rest() -> None:
    one, two = (fingerprint({"a": a, "b": b}) for a, b in ((DDIM(0.5), 1), (DDPM(), 2)))
    with pytest.raises(
        InputError, match="a: got DDPM, expected DDIM; b: got 2, expected 1: resume"
    ) as caught:
        check_same(two, one)
    assert "eta" not in str(caught.value)
    check_same(two, {})  # a state that was made by hand says nothing


SCRIPT = """
import pickle, sys, torch
from tests.jvid.core.test_resume import COND, guided
state = pickle.load(sys.stdin.buffer)
sys.stdout.buffer.write(pickle.dumps(guided()(resume=state, cond=COND)))
"""


def test_a_state_is_resumed_in_another_process() -> None:
    states = list(guided().trace(SHAPE, seeds=[1], cond=COND))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], input=pickle.dumps(states[3]), capture_output=True, check=True
    )
    assert torch.equal(pickle.loads(done.stdout), states[-1].x)


def test_a_plan_from_a_file_replays_and_knows_the_schedule() -> None:
    sampler = mixture(Momentum())
    plan = sampler.plan(3)
    read = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert all(step.schedule is None for step in read.steps)
    states = list(sampler.trace(SHAPE, seeds=[1], plan=read))
    assert torch.equal(states[-1].x, sampler(SHAPE, seeds=[1], plan=plan))
    assert all(state.step.schedule is sampler.schedule for state in states)
    assert states[0].step.level_at(0.5).t == 0.5
    assert torch.equal(sampler(resume=pickle.loads(pickle.dumps(states[4]))), states[-1].x)


@pytest.mark.parametrize("schedule", [TabulatedSchedule.linear(), FlowMatching()], ids=["linear", "flow"])
def test_a_plan_of_another_schedule_is_refused(schedule: Any) -> None:
    experts = {name: Expert(GaussianOracle(schedule)) for name in ("video", "image")}
    sampler = Sampler(experts, HALF, DDPM(), Leading(12))
    read = Plan.from_dict(mixture().plan().to_dict())
    with pytest.raises(
        InputError, match=r"plan is of another schedule: at t 0\.\d+ it has alpha .* expected alpha"
    ):
        sampler.trace(SHAPE, seeds=[0], plan=read)


@pytest.mark.parametrize(("off", "fine"), [(1e-12, True), (1e-8, False), (float("nan"), False)])
@pytest.mark.parametrize("name", ["alpha", "sigma"])
def test_levels_of_a_plan_are_the_schedules_to_nine_digits(name: str, off: float, fine: bool) -> None:
    sampler = mixture()
    values = sampler.plan().to_dict()
    values["steps"][5]["end"][name] += off
    plan = Plan.from_dict(values)
    if fine:
        assert sampler(SHAPE, seeds=[0], plan=plan).isfinite().all()
        return
    with pytest.raises(InputError, match="another schedule"):
        sampler.trace(SHAPE, seeds=[0], plan=plan)


def test_a_plan_outside_the_unit_interval_is_refused() -> None:
    values = mixture().plan().to_dict()
    values["steps"][0]["start"]["t"] = 1.5
    with pytest.raises(InputError, match=r"a step at t 1\.5: expected times from 0"):
        mixture().trace(SHAPE, seeds=[0], plan=Plan.from_dict(values))


@attrs.frozen
class Recorded:
    """A noise sampler that keeps what it draws."""

    drawn: list[Tensor] = attrs.field(factory=list, eq=False)

    def __call__(self, shape: Any, draw: Any) -> Tensor:
        self.drawn.append(draw("z", shape))
        return self.drawn[-1]


STOCHASTIC = [DDPM(), DDIM(1.0), EulerAncestral(), DPMPP2MSDE(), Euler(s_churn=20.0)]


@pytest.mark.parametrize("solver", STOCHASTIC, ids=lambda solver: type(solver).__name__)
def test_a_run_from_the_latents_of_another_draws_noise_of_its_own(solver: Any) -> None:
    """With the same seeds, as users split runs: noise that is drawn twice is added twice to the clip."""
    times = torch.linspace(0.999, 0.0, 21, dtype=torch.float64).tolist()
    noise = Recorded()

    def sampler(part: list[float]) -> Sampler:
        return Sampler({"one": Expert(GaussianOracle(SD, 0.0, 1.0), noise)}, Always("one"), solver, part)

    first = list(sampler(times[:11]).trace(SHAPE, seeds=[5, 6], dtype=torch.float64))[-1].x
    middle = len(noise.drawn)
    second = list(sampler(times[10:]).trace(seeds=[5, 6], x=first))
    end = len(noise.drawn)
    list(sampler(times[10:]).trace(seeds=[5, 6], x=second[-1].x))
    assert 0 < middle < end < len(noise.drawn)
    clips = torch.stack(noise.drawn).transpose(0, 1).flatten(0, 1).flatten(1)
    alike = torch.corrcoef(clips) - torch.eye(len(clips), dtype=clips.dtype)
    assert alike.abs().max() < 0.9, "no draw is another's"
    # A clip depends on its own seed and latents, and a resumed run is the unbroken one.
    (alone,) = sampler(times[10:])(seeds=[6], x=first[1:])
    assert torch.equal(alone, second[-1].x[1])
    resumed = list(sampler(times[10:]).trace(resume=pickle.loads(pickle.dumps(second[3]))))
    assert torch.equal(resumed[-1].x, second[-1].x)


def test_a_split_run_has_the_deviation_of_its_data() -> None:
    """DDPM on N(0, 1): x_0 of one run in two parts, against the same steps in one."""
    times = torch.linspace(0.999, 0.0, 41, dtype=torch.float64).tolist()
    seeds, shape = list(range(4)), (4, 2, 16, 16)

    def sampler(part: list[float]) -> Sampler:
        return Sampler({"one": Expert(GaussianOracle(SD, 0.0, 1.0))}, Always("one"), DDPM(), part)

    whole = sampler(times)(shape, seeds=seeds, dtype=torch.float64)
    split = sampler(times[20:])(seeds=seeds, x=sampler(times[:21])(shape, seeds=seeds, dtype=torch.float64))
    assert split.std() == pytest.approx(float(whole.std()), rel=6 / (2 * split.numel()) ** 0.5)
