"""Levels as plain numbers: remembered for each schedule and time, and the same as the schedule gives."""

from __future__ import annotations

import gc
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.bridged import Bridged
from jvid.core.levels import level_floats, levels_for
from jvid.denoisers.parameterized import Parameterized
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding

SCHEDULES = [TabulatedSchedule.scaled_linear(), FlowMatching(3.0), VarianceExploding()]
X = torch.linspace(-3.0, 3.0, 2 * 4 * 3 * 2 * 2).reshape(2, 4, 3, 2, 2)


@attrs.frozen
class Counted:
    """A schedule that counts its evaluations."""

    evaluated: list[float] = attrs.field(factory=list, eq=False)

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        self.evaluated.append(float(t))
        return 1.0 - t, t

    def time_at(self, angle: Tensor) -> Tensor:
        return angle.sin() / (angle.sin() + angle.cos())


@given(st.sampled_from(SCHEDULES), st.floats(0.0, 1.0), st.sampled_from([torch.float32, torch.float64]))
def test_numbers_are_the_schedules(schedule: Any, t: float, dtype: torch.dtype) -> None:
    time = torch.tensor(t, dtype=dtype)
    alpha, sigma = schedule(time.double())
    for _ in range(2):
        assert level_floats(schedule, time) == (alpha.item(), sigma.item())
    assert [level.item() for level in levels_for(schedule, time, X)] == [alpha.item(), sigma.item()]


def test_a_schedule_is_evaluated_once_for_each_time_and_forgotten_when_it_goes() -> None:
    schedule = Counted()
    for t in (0.5, 0.25, 0.5, 0.5):
        assert level_floats(schedule, torch.tensor(t)) == (1.0 - t, t)
    assert schedule.evaluated == [0.5, 0.25]
    for shift in range(1, 200):  # new objects take the places of old ones
        assert level_floats(FlowMatching(shift), torch.tensor(0.5)) == (
            0.5 / (0.5 + shift * 0.5),
            shift / (1 + shift),
        )
    gc.collect()
    assert level_floats(Counted(), torch.tensor(0.5)) == (0.5, 0.5)


def test_wrong_times_are_reported_as_the_schedule_reports_them() -> None:
    for _ in range(2):
        with pytest.raises(InputError, match="outside"):
            level_floats(SCHEDULES[1], torch.tensor(1.5))
        with pytest.raises(InputError, match="dtype"):
            level_floats(SCHEDULES[1], torch.tensor(1))


@given(
    st.sampled_from(SCHEDULES), st.sampled_from(["eps", "v", "x0", "flow"]), st.floats(1e-3, 0.999),
    st.sampled_from([torch.float16, torch.float32, torch.float64]),
)  # fmt: skip
def test_one_time_is_that_time_for_each_sample_bitwise(
    schedule: Any, prediction: Any, t: float, dtype: torch.dtype
) -> None:
    denoiser = Parameterized(lambda x, t, cond: (0.3 * x).sin(), schedule, prediction)
    bridged = Bridged(denoiser, TabulatedSchedule.cosine())
    x, time = X.to(dtype), torch.tensor(t, dtype=torch.float64)
    for one in (denoiser, bridged):
        assert torch.equal(one(x, time, {}), one(x, time.expand(2), {}))
        assert torch.equal(one(x, time, {}), one(x, time.expand(2), {}))  # from memory
