"""What denoisers declare of their calls, against the calls that they make."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.bridged import Bridged
from jvid.core.evaluations import evaluations_of
from jvid.core.protocols import Evaluation
from jvid.denoisers.cached import Cached
from jvid.denoisers.corrected import Corrected
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.denoisers.known import Known
from jvid.denoisers.windowed import Windowed
from jvid.postprocessors import GaussianSmoothing
from jvid.schedules import FlowMatching, TabulatedSchedule

SCHEDULE = TabulatedSchedule.scaled_linear()
COND = {"text": torch.zeros(1, 2, 3), "null": {"text": torch.ones(1, 2, 3)}}


@attrs.frozen(eq=False)
class Network:
    """Notes the rows and frames of each call."""

    name: str
    seen: Counter[tuple[str, int, int]]
    schedule: Any = SCHEDULE

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        self.seen[self.name, x.shape[0], x.shape[2]] += 1
        return x * 0.5


def wrapped(draw: Any, network: Network, weak: Network) -> Any:
    """Some of the wrappers in some order, the frames' fold innermost and what is known outermost."""
    denoiser: Any = network
    if draw(st.booleans()):
        denoiser, weak = Framewise(denoiser), Framewise(weak)
    scales = st.sampled_from([0.0, 1.0, 2.0])
    makers = {
        "guided": lambda d: Guided(d, draw(scales), interval=draw(st.sampled_from([None, (0.3, 0.6)]))),
        "against": lambda d: Guided(d, draw(scales), against=weak, interval=draw(st.sampled_from([None, (0.3, 0.6)]))),
        "windowed": lambda d: Windowed(d, draw(st.integers(1, 4)), 1),
        "corrected": lambda d: Corrected(d, GaussianSmoothing(0.5)),
        "cached": lambda d: Cached(d, lambda cond: cond),
        "known": lambda d: Known(d, torch.ones(1, 1, 1, 1, 1), torch.zeros(1, 1, 1, 1, 1)),
    }  # fmt: skip
    order = draw(st.lists(st.sampled_from(["windowed", "corrected", "cached", "known"]), max_size=3))
    place = draw(st.integers(0, len(order)))
    order.insert(place, draw(st.sampled_from(["guided", "against", "known"])))
    for name in sorted(order, key="known".__eq__):
        denoiser = makers[name](denoiser)
    return denoiser


def counted(declared: Any) -> Counter[tuple[str, int, int]]:
    found: Counter[tuple[str, int, int]] = Counter()
    for each in declared:
        assert isinstance(each, Evaluation)
        found[each.denoiser.name, each.rows, each.frames] += each.count  # type: ignore[attr-defined]
    return found


@given(st.data(), st.integers(1, 6), st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.9]))
def test_what_is_declared_is_what_is_called(data: st.DataObject, frames: int, t: float) -> None:
    seen: Counter[tuple[str, int, int]] = Counter()
    denoiser = wrapped(data.draw, Network("own", seen), Network("weak", seen))
    with torch.no_grad():
        denoiser(torch.ones(1, 4, frames, 2, 2), torch.tensor(t, dtype=torch.float64), COND)
    assert counted(evaluations_of(denoiser, t, frames)) == seen


@pytest.mark.parametrize("t", [0.2, 0.35, 0.5, 0.65, 0.8])
def test_an_interval_is_of_the_denoisers_own_time(t: float) -> None:
    """Behind a bridge the outer schedule's t is another."""
    seen: Counter[tuple[str, int, int]] = Counter()
    network = Network("own", seen, FlowMatching(3.0))
    bridged = Bridged(Guided(network, 2.0, interval=(0.6, 0.95)), SCHEDULE)
    bridged(torch.ones(1, 4, 2, 2, 2), torch.tensor(t, dtype=torch.float64), COND)
    assert counted(evaluations_of(bridged, t, 2)) == seen


def test_both_sides_of_the_interval_were_met() -> None:
    bridged = Bridged(
        Guided(Network("own", Counter(), FlowMatching(3.0)), 2.0, interval=(0.6, 0.95)), SCHEDULE
    )
    rows = {evaluations_of(bridged, t, 2)[0].rows for t in (0.2, 0.35, 0.5, 0.65, 0.8)}
    assert rows == {1, 2}
