"""The benchmarks' measure of memory, on cases whose peak is known."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.memory import peak_bytes

K = 1024  # floats: blocks of 4 KiB


def test_nothing_and_one_tensor():
    assert peak_bytes(lambda: None) == 0
    assert peak_bytes(lambda: torch.empty(K)) == 4 * K
    assert peak_bytes(lambda: torch.empty(K, dtype=torch.float64)) == 8 * K


def test_the_peak_may_lie_in_the_middle():
    def run():
        a = torch.empty(5 * K)
        b = a + a  # 10 K floats: the peak
        del a
        return b[:K].clone()  # 6 K

    assert peak_bytes(run) == 4 * 10 * K


def test_views_and_changes_in_place_are_free():
    def run():
        a = torch.empty(4 * K)
        return a.view(4, K)[1:].t().zero_()

    assert peak_bytes(run) == 4 * 4 * K


def test_what_was_there_before_is_neither_counted_nor_gained():
    old = [torch.ones(8 * K)]

    def run():
        twice = old[0] + old[0]
        old.clear()
        return twice, torch.empty(K)

    assert peak_bytes(run) == 4 * 9 * K


def test_a_second_measurement_starts_afresh():
    kept = []
    assert peak_bytes(lambda: kept.append(torch.empty(8 * K))) == 32 * K
    assert peak_bytes(lambda: (kept.clear(), torch.empty(K))) == 4 * K


def test_memory_that_a_kernel_takes_for_itself_counts():
    torch.manual_seed(0)
    # float64: oneDNN, which brings memory of its own, has no such convolution
    x, weight = torch.randn(1, 4, 16, 16).double(), torch.randn(8, 4, 3, 3).double()
    with torch.inference_mode():
        peak = peak_bytes(lambda: F.conv2d(x, weight, padding=1))
    # the result, and each place's 3x3 neighbourhood: what an observer of torch's operations does not see
    assert peak == 8 * 16 * 16 * (8 + 4 * 9)


@given(st.lists(st.tuples(st.integers(1, 64), st.booleans()), max_size=12))
def test_any_sequence_of_allocations_and_releases(moves):
    live, held, most = [], 0, 0
    for size, drop in moves:
        held += size
        live.append(size)
        most = max(most, held)
        if drop:
            held -= live.pop(0)

    def run():
        tensors = []
        for size, drop in moves:
            tensors.append(torch.empty(K * size))
            if drop:
                del tensors[0]
        return tensors

    assert peak_bytes(run) == 4 * K * most
