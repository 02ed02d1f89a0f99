"""What a sampler refuses where it is built, and the smallest levels that it computes."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
import torch
from torch import Tensor

import jvid
from jvid.core.planning import SMALLEST
from jvid.core.protocols import Expert, Step
from jvid.core.sampler import Sampler
from jvid.errors import InputError
from jvid.grids import Leading
from jvid.postprocessors import TemporalSmoothing
from jvid.schedules import FlowMatching
from jvid.selectors import Always
from jvid.solvers import DDIM
from jvid.testing import GaussianOracle

SHAPE = (4, 3, 2, 2)
ORACLE = GaussianOracle(FlowMatching(), 1.0, 0.5)


@attrs.frozen
class Writing:
    """An expert that computes in place of its input, or of its last prediction."""

    into: str
    schedule: FlowMatching = ORACLE.schedule  # type: ignore[assignment]
    kept: list[Tensor] = attrs.field(factory=list, eq=False)

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        x_0 = ORACLE(x, t, cond)
        if self.into == "x":
            return x.copy_(x_0)
        if not self.kept:
            self.kept.append(torch.empty_like(x_0))
        return self.kept[0].copy_(x_0)


def test_an_expert_that_writes_to_its_input_is_named() -> None:
    x = torch.ones(1, *SHAPE)
    sampler = Sampler({"a": Expert(Writing("x"))}, Always("a"), DDIM(), Leading(4))
    with pytest.raises(
        InputError, match="expert 'a' at step 1 of 4 wrote to x: expected a prediction of its own"
    ):
        sampler(x=x, seeds=[0])
    assert torch.equal(x, torch.ones(1, *SHAPE)), "the latents that a run starts from stay the caller's"


@pytest.mark.parametrize("solver", ["unipc", "dpmpp-2m", "dpmpp-2m-sde", "pndm"])
def test_a_prediction_may_lie_where_the_last_one_did(solver: str) -> None:
    """As that of a CUDA graph does."""
    one, other = (
        [
            state.x_0
            for state in Sampler(
                {"a": Expert(expert)}, Always("a"), jvid.load("solver", solver), Leading(6)
            ).trace(SHAPE, seeds=[0])
        ]
        for expert in (Writing("last"), ORACLE)
    )
    assert all(map(torch.equal, one, other))


@attrs.frozen
class Alone:
    """A solver that forgets to return its memory."""

    answer: Any
    order: int = 1

    def init(self) -> None:
        return None

    def step(self, x: Tensor, step: Step, denoise: Any, noise: Any, memory: Any) -> Any:
        return self.answer(x)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: x, "a tensor"),
        (lambda x: None, "a value of type NoneType"),
        (lambda x: (x, None, 1), "a value of type tuple"),
    ],
)
def test_a_step_without_a_memory_is_refused(answer: Any, words: str) -> None:
    sampler = Sampler({"a": Expert(ORACLE)}, Always("a"), Alone(answer), Leading(4))
    with pytest.raises(InputError, match=rf"step returned {words}: expected \(x, memory\)"):
        sampler(SHAPE, seeds=[0, 1])  # a tensor of two clips could be taken apart


@pytest.mark.parametrize("solver", jvid.names("solver"))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_smallest_levels_can_be_computed(solver: str, dtype: str) -> None:
    expert = Expert(GaussianOracle(FlowMatching(), 1.0, 0.0))
    sampler = Sampler({"a": expert}, Always("a"), jvid.load("solver", solver), [0.9, 0.5, SMALLEST, 0.0])
    x = sampler(SHAPE, seeds=[0], dtype=dtype)
    assert x.dtype == getattr(torch, dtype)
    torch.testing.assert_close(x, torch.ones_like(x), atol=1e-6, rtol=0.0)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"solver": "ddim"}, "the solver is the text 'ddim': expected a component, such as jvid.load('solver', 'ddim')"),
        ({"solver": DDIM}, "the solver is the class DDIM; expected an object of it: call it"),
        (
            {"selector": "always:name=a"},
            "the selector is the text 'always:name=a': expected a component, such as jvid.load('selector', 'always', ...)",
        ),
        ({"selector": Always}, "the selector is the class Always"),
        ({"selector": 3}, "the selector is a value of type int that cannot be called; expected a call (step, u)"),
        ({"grid": 20}, "grid 20: expected times from 1 (noise) to 0 (clean), or what gives them, such as Leading(50)"),
        ({"grid": "leading"}, "grid 'leading': expected times"),
        ({"grid": Leading}, "grid <class 'jvid.grids.Leading'>: expected times"),
        ({"grid": [1.0, 1e-177, 0.0], "schedule": FlowMatching()}, "sigma is 1e-177 at t 1e-177: expected 0, or from 1e-30"),
        ({"schedule": "flow"}, "the schedule is the text 'flow'"),
        ({"initial": "shared"}, "the initial noise is the text 'shared'"),
        ({"postprocessors": ["smooth"]}, "a postprocessor is the text 'smooth'"),
        ({"postprocessors": TemporalSmoothing(2.0)}, "postprocessors are one component: expected a list"),
        ({"experts": [Expert(ORACLE)]}, "experts are a list: expected them by name, {name: Expert(denoiser)}"),
        (
            {"experts": {"a": Expert(lambda x, t, cond: x)}},
            "the denoiser of expert 'a' is a value of type function that has no 'schedule'; expected schedule and a call (x, t",
        ),
        ({"experts": {"a": Expert(ORACLE, "shared")}}, "the noise of expert 'a' is the text 'shared'"),
    ],
)  # fmt: skip
def test_parts_of_another_kind_are_refused_at_construction(parts: dict[str, Any], words: str) -> None:
    given = {"experts": {"a": Expert(ORACLE)}, "selector": Always("a"), "solver": DDIM(), "grid": Leading(4)}
    with pytest.raises(InputError, match=f"^{re.escape(words)}"):
        Sampler(**(given | parts))
