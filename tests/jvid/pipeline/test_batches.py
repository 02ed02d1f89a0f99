"""Batches to a bound of memory: the arithmetic, and the measurement where the answer is known."""

from __future__ import annotations

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.protocols import Condition, Expert, NoiseSchedule
from jvid.core.sampler import Sampler
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.errors import InputError
from jvid.grids import Leading
from jvid.machine.peak import peak_bytes
from jvid.paper import SCHEDULE
from jvid.pipeline.batches import bytes_per_clip, even_batches, max_batch_size
from jvid.schedules import FlowMatching
from jvid.selectors import Always, Cycle
from jvid.solvers import DDIM

SHAPE = (4, 6, 8, 8)
KB = 1024


@given(room=st.integers(0, 1 << 50), clip=st.integers(1, 1 << 40))
def test_the_largest_batch_fits_and_one_more_does_not(room: int, clip: int) -> None:
    most = max_batch_size(room, clip)
    assert most * clip <= room < (most + 1) * clip


@given(count=st.integers(1, 500), largest=st.integers(1, 100))
def test_batches_hold_all_clips_and_are_few_and_even(count: int, largest: int) -> None:
    sizes = even_batches(count, largest)
    assert sum(sizes) == count
    assert max(sizes) <= largest
    assert max(sizes) - min(sizes) <= 1
    assert (len(sizes) - 1) * largest < count  # one fewer would not hold them


@pytest.mark.parametrize(("count", "largest"), [(0, 1), (1, 0)])
def test_no_clips_or_no_batch_is_reported(count: int, largest: int) -> None:
    with pytest.raises(InputError, match="expected 1 or more of both"):
        even_batches(count, largest)


def floats(count: int) -> Tensor:
    return torch.ones(count, dtype=torch.float32)


def test_what_is_freed_is_not_counted() -> None:
    def run() -> None:
        a = floats(KB)  # 4 KB
        b = a + 1  # 8
        del a  # 4
        c = torch.cat([b, b])  # 12
        del b  # 8
        d = c.view(2, -1)[0]  # views: 8
        d.mul_(2)  # in place: 8
        del c  # d holds the storage: 8
        floats(KB // 2)  # 10

    assert peak_bytes(run) == 12 * KB


def test_what_was_there_before_is_not_counted() -> None:
    weight = floats(KB)

    def run() -> Tensor:
        weight.mul_(2)
        view = weight[: KB // 2]
        return view + view

    assert peak_bytes(run) == 2 * KB
    assert peak_bytes(lambda: weight.view(-1)) == 0


@given(sizes=st.lists(st.integers(1, 2000), min_size=1, max_size=12))
def test_what_is_held_adds_up_and_what_is_dropped_does_not(sizes: list[int]) -> None:
    assert peak_bytes(lambda: [floats(size) for size in sizes]) == 4 * sum(sizes)

    def drop() -> None:
        for size in sizes:
            floats(size)

    assert peak_bytes(drop) == 4 * max(sizes)


@attrs.frozen
class Hungry:
    """Holds ``copies`` of its input at once; the prediction is one of them."""

    copies: int
    schedule: NoiseSchedule = attrs.field(factory=SCHEDULE)

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        copies = [x.clone() for _ in range(self.copies)]
        return copies.pop()


def measured(plan_of: Sampler) -> float:
    """Bytes that a clip takes, in latents of a clip."""
    cond = {"text": torch.zeros(1, 2, 3), "null": {"text": torch.zeros(1, 2, 3)}}
    latents = 4 * torch.Size(SHAPE).numel()
    return bytes_per_clip(plan_of, plan_of.plan(0), SHAPE, cond) / 1.6 / latents - 16


def test_a_clip_takes_what_its_hungriest_expert_does() -> None:
    experts = {"a": Expert(Hungry(20)), "b": Expert(Framewise(Hungry(50))), "c": Expert(Hungry(300))}
    both = Sampler(experts, Cycle({"a": 1, "b": 1}), DDIM(), Leading(4))
    # c is never asked.
    assert measured(both) == pytest.approx(50, abs=0.1)
    alone = Sampler(experts, Always("a"), DDIM(), Leading(4))
    assert measured(alone) == pytest.approx(20, abs=0.1)


def test_guidance_counts_where_it_acts_though_it_may_rest_at_the_first_step() -> None:
    guided = {"a": Expert(Guided(Hungry(20), 2.0, interval=(0.4, 0.5)))}
    sampler = Sampler(guided, Always("a"), DDIM(), Leading(50))
    # Both halves in one batch: its input, too, is twice a clip.
    assert measured(sampler) == pytest.approx(2 + 2 * 20, abs=0.1)
    flow = Sampler(guided, Always("a"), DDIM(), Leading(50), schedule=FlowMatching())
    assert measured(flow) >= 2 + 2 * 20


def test_measuring_changes_nothing() -> None:
    sampler = Sampler({"a": Expert(Hungry(2))}, Always("a"), DDIM(), Leading(4))
    before = sampler(SHAPE, seeds=[3])
    measured(sampler)
    assert torch.equal(sampler(SHAPE, seeds=[3]), before)


def test_an_expert_that_is_not_there_is_reported() -> None:
    one = Sampler({"a": Expert(Hungry(2))}, Always("a"), DDIM(), Leading(4))
    other = Sampler({"b": Expert(Hungry(2))}, Always("b"), DDIM(), Leading(4))
    with pytest.raises(InputError, match="names 'b': expected experts among"):
        bytes_per_clip(one, other.plan(0), SHAPE, {})
