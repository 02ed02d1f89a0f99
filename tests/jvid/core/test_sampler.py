"""The loop: what is evaluated, what a clip depends on, how it starts, and what goes wrong by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

from jvid.core.bridged import Bridged
from jvid.core.keyed import keyed_normal
from jvid.core.protocols import Condition, Expert, NoiseSchedule, Step
from jvid.core.sampler import Sampler
from jvid.errors import InputError, NonFiniteError
from jvid.grids import Leading
from jvid.noise import IndependentNoise, ScaledNoise, SharedNoise
from jvid.postprocessors import TemporalSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.selectors import Always, PiecewiseAffine
from jvid.solvers import DDIM, DDPM
from jvid.testing import GaussianOracle

SD = TabulatedSchedule.scaled_linear()
SHAPE = (4, 3, 2, 2)
HALF = PiecewiseAffine(0.2, 0.7, 0.3, 0.3)


@attrs.frozen
class Spy:
    """Records what it is called with; predicts as the oracle does."""

    mean: float = 0.0
    schedule: NoiseSchedule = SD
    seen: list[tuple[float, Condition]] = attrs.field(factory=list, eq=False)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        assert not torch.is_grad_enabled()
        assert t.dtype == torch.float64
        self.seen.append((float(t), cond))
        return GaussianOracle(self.schedule, self.mean, 0.5)(x, t, cond)


@attrs.frozen
class Mixed:
    """Both experts at every step, by fixed weights."""

    weights: Mapping[str, float]

    def __call__(self, step: Step, u: float) -> Mapping[str, float]:
        return self.weights


@attrs.frozen
class Broken:
    """Predicts well until a time, then what ``wrong`` makes of it."""

    wrong: Any
    until: float = 0.5
    schedule: NoiseSchedule = SD

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        return x if t > self.until else self.wrong(x)


@attrs.frozen
class Momentum:
    """A solver with a memory: a running mean of x_0, to show that memory survives an interruption."""

    order: int = 1

    def init(self) -> tuple[Tensor, ...]:
        return ()

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: Any) -> tuple[Tensor, Any]:
        x_0 = denoise(x, step.start)
        memory = (*memory, x_0)
        mean = sum(memory) / len(memory)
        return step.end.alpha * mean + step.end.sigma * noise("z"), memory


def mixture(solver: Any = None, steps: int = 12, **options: Any) -> Sampler:
    experts = {
        "video": Expert(GaussianOracle(SD, 1.0, 0.5)),
        "image": Expert(GaussianOracle(SD, 2.0, 0.2), ScaledNoise(SharedNoise(0.3), 0.5)),
    }
    return Sampler(experts, HALF, solver or DDPM(), Leading(steps), **options)


def test_call_is_the_last_of_the_trace_postprocessed() -> None:
    sampler = mixture(postprocessors=[TemporalSmoothing(2.0), lambda x: 2 * x])
    states = list(sampler.trace(SHAPE, seeds=[3, 4]))
    assert [state.step for state in states] == list(sampler.plan(0).steps)
    assert states[-1].x.shape == (2, *SHAPE)
    assert states[-1].x.dtype == torch.float32
    expected = 2 * TemporalSmoothing(2.0)(states[-1].x)
    assert torch.equal(sampler(SHAPE, seeds=[3, 4]), expected)
    assert not torch.equal(expected, 2 * states[-1].x)
    assert [sum(state.calls.values()) for state in states] == list(range(1, 13))  # states do not move on
    assert states[0].next == states[1].step
    assert states[-1].next is None


def test_only_weighted_experts_are_evaluated_at_the_levels_of_the_plan() -> None:
    video, image, idle = Spy(), Spy(), Spy()
    experts = {"video": Expert(video), "image": Expert(image), "idle": Expert(idle)}
    sampler = Sampler(experts, HALF, DDPM(), Leading(20))
    plan = sampler.plan(9)
    cond = {"text": torch.zeros(2, 1, 1)}
    last = list(sampler.trace(SHAPE, seeds=[0, 1], plan=9, cond=cond))[-1]
    for name, spy in (("video", video), ("image", image)):
        assert [t for t, _ in spy.seen] == [s.start.t for s in plan.steps if s.expert == name]
        assert all(given is cond for _, given in spy.seen)
    assert idle.seen == []
    assert last.calls == plan.counts == {"video": len(video.seen), "image": len(image.seen), "idle": 0}
    assert last.seconds["idle"] == 0 < last.seconds["image"]


@pytest.mark.parametrize("solver", [DDPM(), DDIM(0.5), Momentum()], ids=repr)
def test_a_batch_of_three_is_three_batches_of_one_bitwise(solver: Any) -> None:
    sampler = mixture(solver)
    seeds = [5, 1, 2**64 + 1]
    together = sampler(SHAPE, seeds=seeds)
    for row, seed in zip(together, seeds, strict=True):
        assert torch.equal(row, sampler(SHAPE, seeds=[seed])[0])
    assert torch.equal(sampler(SHAPE, seeds=seeds[::-1]), together.flip(0))
    assert not torch.equal(together[1], together[2])


def test_plan_seed_and_clip_seed_are_different_things() -> None:
    sampler = mixture()
    one, two = (list(sampler.trace(SHAPE, seeds=[1], plan=plan)) for plan in (0, 1))
    assert torch.equal(one[0].x, two[0].x)  # the first steps are the video model's in any plan
    assert not torch.equal(one[-1].x, two[-1].x)
    replayed = sampler(SHAPE, seeds=[1], plan=sampler.plan(1))
    assert torch.equal(replayed, two[-1].x)


def test_relabelling_the_experts_changes_nothing() -> None:
    sampler = mixture()
    other = Sampler(
        {"b": sampler.experts["image"], "a": sampler.experts["video"]},
        attrs.evolve(HALF, video="a", image="b"),
        DDPM(),
        Leading(12),
    )
    assert torch.equal(sampler(SHAPE, seeds=[7]), other(SHAPE, seeds=[7]))


def test_a_blend_averages_predictions_and_takes_the_dominant_noise() -> None:
    quiet = ScaledNoise(IndependentNoise(), 0.0)
    experts = {
        "video": Expert(GaussianOracle(SD, 1.0, 0.5)),
        "image": Expert(GaussianOracle(SD, 3.0, 0.5), quiet),
    }
    blend = Sampler(experts, Mixed({"video": 0.25, "image": 0.75}), DDPM(), Leading(10))
    # Oracles of one deviation are affine in their mean: the blend is the oracle of the mean mean.
    single = Sampler({"one": Expert(GaussianOracle(SD, 2.5, 0.5), quiet)}, Always("one"), DDPM(), Leading(10))
    ours, theirs = (s(SHAPE, seeds=[0], dtype=torch.float64) for s in (blend, single))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    loud = Sampler(experts, Mixed({"video": 0.75, "image": 0.25}), DDPM(), Leading(10))
    assert not torch.allclose(loud(SHAPE, seeds=[0]), blend(SHAPE, seeds=[0]), atol=0.1)


def test_noise_belongs_to_the_expert_of_the_step_and_is_keyed_by_seed_step_and_name() -> None:
    last: dict[str, Tensor] = {}

    @attrs.frozen
    class Recorder:
        order: int = 1

        def init(self) -> None:
            return None

        def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: None) -> tuple[Tensor, None]:
            last[f"{step.index}"] = noise("z")
            assert torch.equal(last[f"{step.index}"], noise("z"))
            assert not torch.equal(noise("z"), noise("other"))
            return denoise(x, step.start), None

    sampler = mixture(Recorder())
    list(sampler.trace(SHAPE, seeds=[8, 9], dtype=torch.float64))
    for step in sampler.plan(0).steps:
        z = keyed_normal([8, 9], (step.index, "z", "independent"), SHAPE, torch.float64)
        if step.expert == "image":
            shared = keyed_normal([8, 9], (step.index, "z", "shared"), (4, 1, 2, 2), torch.float64)
            z = 0.5 * (math.sqrt(0.3) * shared + math.sqrt(0.7) * z)
        assert torch.equal(last[str(step.index)], z)


@pytest.mark.parametrize(
    ("schedule", "scale"),
    [(SD, 1.0), (VarianceExploding(), math.hypot(1.0, 80.0)), (FlowMatching(), 1.0)],
    ids=["vp", "ve", "flow"],
)
def test_initial_noise_has_the_deviation_of_the_first_level(schedule: NoiseSchedule, scale: float) -> None:
    spy = Spy(schedule=schedule)
    started: list[Tensor] = []
    sampler = Sampler({"a": Expert(spy)}, Always("a"), DDIM(0.0), [1.0, 0.0])
    denoiser = sampler._denoisers["a"]
    assert denoiser is spy
    sampler = Sampler(
        {"a": Expert(Broken(lambda x: started.append(x) or x, 2.0, schedule))},
        Always("a"),
        DDIM(0.0),
        [1.0, 0.0],
    )
    sampler(SHAPE, seeds=[3], dtype=torch.float64)
    expected = scale * keyed_normal([3], ("initial",), SHAPE, torch.float64)
    torch.testing.assert_close(started[0], expected, rtol=1e-12, atol=0)


def test_initial_noise_may_be_shaped_across_frames() -> None:
    plain = mixture()
    first = next(plain.trace(SHAPE, seeds=[3, 2**64], dtype=torch.float64))
    same = next(attrs.evolve(plain, initial=None).trace(SHAPE, seeds=[3, 2**64], dtype=torch.float64))
    assert torch.equal(first.x, same.x)

    def start(initial: Any, schedule: NoiseSchedule = SD) -> Tensor:
        got: list[Tensor] = []
        expert = Expert(Broken(lambda x: got.append(x) or x, 2.0, schedule))
        sampler = Sampler({"a": expert}, Always("a"), DDIM(0.0), [1.0, 0.0], initial=initial)
        sampler(SHAPE, seeds=[3, 2**64], dtype=torch.float64)
        return got[0]

    def stream(name: str, shape: tuple[int, ...] = SHAPE) -> Tensor:
        return keyed_normal([3, 2**64], ("initial", name), shape, torch.float64)

    shared = stream("shared", (4, 1, 2, 2))
    torch.testing.assert_close(start(SharedNoise(1.0)), shared.expand(-1, -1, 3, -1, -1), rtol=0, atol=1e-15)
    # It stands at its level, whatever deviation the sampler declares.
    mixed = math.sqrt(0.3) * shared + math.sqrt(0.7) * stream("independent")
    for gamma in (1.0, 0.02, 5.0):
        got = start(ScaledNoise(SharedNoise(0.3), gamma), VarianceExploding())
        torch.testing.assert_close(got, math.hypot(1.0, 80.0) * mixed, rtol=1e-12, atol=0)


def test_initial_noise_that_is_none_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"initial noise ScaledNoise declares a deviation of 0\.0: expected one above 0"
    ):
        mixture(initial=ScaledNoise(IndependentNoise(), 0.0))
    sampler = mixture(initial=lambda shape, draw: draw("z", shape)[:, :2])
    with pytest.raises(
        InputError, match=r"initial noise has shape \(1, 2, 3, 2, 2\): expected \(1, 4, 3, 2, 2\)"
    ):
        sampler(SHAPE, seeds=[0])


def test_start_from_given_latents() -> None:
    sampler = mixture()
    x = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kept = x.clone()
    one = sampler(seeds=[1, 2], x=x)
    assert one.dtype == torch.float64
    assert torch.equal(x, kept)
    assert torch.equal(one, sampler(SHAPE, seeds=[1, 2], x=x))
    assert not torch.equal(one, sampler(SHAPE, seeds=[1, 2], dtype=torch.float64))
    assert sampler(seeds=[1, 2], x=x.half()).dtype == torch.float32


def test_only_experts_of_another_schedule_are_bridged() -> None:
    flow = GaussianOracle(FlowMatching(), 1.0, 0.5)
    experts = {"video": Expert(GaussianOracle(TabulatedSchedule.scaled_linear())), "image": Expert(flow)}
    sampler = Sampler(experts, HALF, DDIM(0.0), Leading(12))
    assert sampler._denoisers["video"] is experts["video"].denoiser
    assert isinstance(sampler._denoisers["image"], Bridged)
    assert sampler.schedule == SD
    other = Sampler(experts, HALF, DDIM(0.0), Leading(12), schedule=FlowMatching())
    assert sampler.plan(0) != other.plan(0)
    # The same distribution on another schedule gives the same clip.
    one, two = (
        Sampler({"a": Expert(GaussianOracle(s, 1.0, 0.5))}, Always("a"), DDPM(), Leading(12), schedule=SD)
        for s in (SD, FlowMatching())
    )
    ours, theirs = (s(SHAPE, seeds=[0], dtype=torch.float64) for s in (one, two))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_a_mixture_of_equal_oracles_reaches_their_distribution() -> None:
    oracle = GaussianOracle(SD, 1.5, 0.5)
    sampler = Sampler({"video": Expert(oracle), "image": Expert(oracle)}, HALF, DDIM(0.0), Leading(200))
    x = sampler((4, 8, 25, 25), seeds=[0], dtype=torch.float64)
    # Table's end is not pure noise: the start N(0, I) flows to a mean a little short of 1.5.
    first, last = sampler.plan().steps[0].start, sampler.plan().steps[-1].end
    mean = float(oracle.flow(torch.tensor(0.0, dtype=torch.float64), first, last))
    std = 0.5 / oracle.variance(first) ** 0.5
    n = x.numel()
    assert 1.4 < mean < 1.5
    # Six sigma and the solver's own error at 200 steps.
    assert abs(x.mean() - mean) < 6 * std / n**0.5 + 0.005
    assert abs(x.std() - std) < 6 * std / (2 * n) ** 0.5 + 0.01


def test_gradient_mode_does_not_leak_across_steps() -> None:
    modes: list[bool] = []
    mixture(postprocessors=[lambda x: modes.append(torch.is_grad_enabled()) or x])(SHAPE, seeds=[0])
    assert modes == [False]
    trace = mixture().trace(SHAPE, seeds=[0])
    assert torch.is_grad_enabled()
    for state in trace:
        assert torch.is_grad_enabled()
        assert not state.x.requires_grad
        break
    with torch.no_grad():
        next(trace)
        assert not torch.is_grad_enabled()
    next(trace)
    assert torch.is_grad_enabled()


def test_a_prediction_whose_sum_overflows_is_finite() -> None:
    experts = {"a": Expert(Broken(lambda x: torch.full_like(x, 3e38), until=1.0))}
    state = next(Sampler(experts, Always("a"), DDPM(), Leading(10)).trace(SHAPE, seeds=[1]))
    assert state.x_0.sum().isinf()
    assert state.x_0.isfinite().all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_prediction_that_is_not_finite_names_expert_step_and_level(value: float) -> None:
    def spoil(x: Tensor) -> Tensor:
        x = x.clone()
        x[-1, 0, 0, 0, 0] = value
        return x

    experts = {"video": Expert(Spy()), "image": Expert(Broken(spoil))}
    sampler = Sampler(experts, PiecewiseAffine(0.1, 0.4, 0.0, 0.0), DDPM(), Leading(10))
    # Timestep 400 stands at t = .401, the sixth of ten.
    with pytest.raises(
        NonFiniteError, match=r"expert 'image' at step 6 of 10 .*t 0.401 \(alpha 0\.\d+, sigma 0\.\d+\)"
    ):
        sampler(SHAPE, seeds=[1, 2])


@pytest.mark.parametrize(
    ("wrong", "printed"),
    [
        (
            lambda x: x[:, :2],
            r"expert 'a' at step 6 of 10 returned shape \(1, 2, 3, 2, 2\).*expected.*\(1, 4, 3, 2, 2\)",
        ),
        (lambda x: x.double(), r"expert 'a' at step 6 of 10 returned .*float64.*expected.*float32"),
    ],
)
def test_a_prediction_of_another_form_names_the_expert(wrong: Any, printed: str) -> None:
    sampler = Sampler({"a": Expert(Broken(wrong))}, Always("a"), DDPM(), Leading(10))
    with pytest.raises(InputError, match=printed):
        sampler(SHAPE, seeds=[1])


def test_wrong_strategies_are_refused() -> None:
    expert = Expert(Spy())
    with pytest.raises(
        InputError, match="PiecewiseAffine names 'image': expected experts among 'video', 'b'"
    ):
        Sampler({"video": expert, "b": expert}, HALF, DDPM(), Leading(10))
    with pytest.raises(InputError, match="without experts"):
        Sampler({}, HALF, DDPM(), Leading(10))
    with pytest.raises(InputError, match="expert 'a' is a Spy"):
        Sampler({"a": Spy()}, Always("a"), DDPM(), Leading(10))  # type: ignore[dict-item]
    with pytest.raises(InputError, match="grid"):
        Sampler({"a": expert}, Always("a"), DDPM(), [2.0, 0.0])
    with pytest.raises(InputError, match="Plan names 'image', 'video'"):
        Sampler({"a": expert}, Always("a"), DDPM(), Leading(12)).trace(
            SHAPE, seeds=[0], plan=mixture().plan()
        )


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ({"shape": (4, 2, 2), "seeds": [0]}, r"shape \(4, 2, 2\): expected \(channels, frames"),
        ({"shape": (4, 0, 2, 2), "seeds": [0]}, "shape"),
        ({"seeds": [0]}, "no shape"),
        ({"shape": SHAPE}, "no seeds"),
        ({"shape": SHAPE, "seeds": [-3]}, "seeds"),
        ({"shape": SHAPE, "seeds": [0], "plan": -1}, "plan seed -1: expected"),
        ({"shape": SHAPE, "seeds": [0], "dtype": torch.float16}, "dtype torch.float16"),
        ({"x": torch.zeros(2, *SHAPE), "seeds": [0]}, "b = 1 seeds"),
        ({"x": torch.zeros(*SHAPE), "seeds": [0]}, "x of shape"),
        ({"x": torch.zeros(1, 4, 3, 2, 5), "shape": SHAPE, "seeds": [0]}, "expected clips of shape"),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_step(arguments: dict[str, Any], printed: str) -> None:
    with pytest.raises(InputError, match=printed):
        mixture().trace(**arguments)


def test_evolving_a_sampler_builds_a_valid_one() -> None:
    sampler = attrs.evolve(mixture(), solver=DDIM(0.0))
    assert sampler.solver == DDIM(0.0)
    assert sampler(SHAPE, seeds=[0]).shape == (1, *SHAPE)
    with pytest.raises(InputError, match="Always names 'c'"):
        attrs.evolve(mixture(), selector=Always("c"))
