"""Smoothing over time: invariants, and the two filters against scipy-like references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jvid.errors import InputError
from jvid.postprocessors import GaussianSmoothing, TemporalSmoothing, UniformSmoothing

POSTPROCESSORS = [
    TemporalSmoothing(),
    TemporalSmoothing(0.5),
    TemporalSmoothing(1e6),
    GaussianSmoothing(1.3),
    GaussianSmoothing(0.0),
    UniformSmoothing(3),
    UniformSmoothing(5),
]
each = pytest.mark.parametrize("smooth", POSTPROCESSORS, ids=str)
shapes = st.tuples(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 7), st.integers(1, 5), st.integers(1, 5)
)
dtypes = st.sampled_from([torch.float32, torch.float64, torch.bfloat16])


def clip(shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@each
@given(shape=shapes, dtype=dtypes, seed=st.integers(0, 99))
def test_shape_dtype_input_and_batch_are_respected(smooth, shape, dtype, seed):
    x = clip(shape, dtype, seed)
    kept = x.clone()
    out = smooth(x)
    assert (out.shape, out.dtype, out.device) == (x.shape, x.dtype, x.device)
    assert torch.isfinite(out).all()
    assert torch.equal(x, kept)
    for i in range(shape[0]):
        torch.testing.assert_close(smooth(x[i : i + 1]), out[i : i + 1])


@each
@given(shape=shapes, dtype=dtypes)
def test_still_clips_and_single_frames_are_kept_bit_for_bit(smooth, shape, dtype):
    b, c, f, h, w = shape
    frame = clip((b, c, 1, h, w), dtype)
    assert torch.equal(smooth(frame), frame)
    still = frame.expand(b, c, f, h, w).contiguous()
    assert torch.equal(smooth(still), still)
    flat = torch.full(shape, 0.1, dtype=dtype)
    assert torch.equal(smooth(flat), flat)
    assert torch.equal(smooth(torch.zeros(shape, dtype=dtype)), torch.zeros(shape, dtype=dtype))


@each
@given(shape=shapes, axis=st.sampled_from([2, 3, 4]))
def test_flips_pass_through(smooth, shape, axis):
    x = clip(shape)
    torch.testing.assert_close(smooth(x.flip(axis)), smooth(x).flip(axis), rtol=1e-12, atol=1e-12)


@given(shape=shapes, value=st.floats(0.1, 3))
def test_what_moves_where_the_mean_is_flat_is_kept(shape, value):
    # Every channel's mean over time is 0 everywhere, so sd = 0 and any motion is large.
    b, c, _, h, w = shape
    x = torch.full((b, c, 2, h, w), value, dtype=torch.float64)
    x[:, :, 1] *= -1
    assert torch.equal(TemporalSmoothing(2.0)(x), x)


def test_a_channel_that_is_flat_and_still_counts_for_nothing():
    x = clip((1, 3, 6, 5, 5))
    x[:, 1] = 0.25
    out = TemporalSmoothing(3.0)(x)
    others = TemporalSmoothing(3.0)(x[:, [0, 2]])
    assert torch.equal(out[:, [0, 2]], others)
    assert torch.equal(out[:, 1], x[:, 1])
    assert not torch.equal(others, x[:, [0, 2]])


def test_thresholds_run_from_nothing_to_the_mean():
    x = clip((2, 4, 6, 5, 5))
    assert torch.equal(TemporalSmoothing(0.0)(x), x)
    torch.testing.assert_close(TemporalSmoothing(1e9)(x), x.mean(2, keepdim=True).expand_as(x))


def test_gaussian_smoothing_is_scipys():
    ndimage = pytest.importorskip("scipy.ndimage")
    x = clip((2, 3, 9, 2, 2))
    theirs = ndimage.gaussian_filter1d(x.numpy(), 1.5, axis=2, mode="nearest", truncate=4.0)
    np.testing.assert_allclose(GaussianSmoothing(1.5)(x).numpy(), theirs, rtol=0, atol=1e-13)


def test_uniform_smoothing_is_the_mean_of_neighbours():
    x = clip((1, 2, 6, 3, 3))
    padded = np.pad(x.numpy(), [(0, 0), (0, 0), (1, 1), (0, 0), (0, 0)], mode="edge")
    reference = np.stack([padded[:, :, i : i + 3].mean(axis=2) for i in range(6)], axis=2)
    np.testing.assert_allclose(UniformSmoothing(3)(x).numpy(), reference, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("build", "printed"),
    [
        (lambda: TemporalSmoothing(-1), "threshold=-1"),
        (lambda: TemporalSmoothing(float("nan")), "threshold=nan"),
        (lambda: GaussianSmoothing(-0.5), "std=-0.5"),
        (lambda: UniformSmoothing(4), "size=4"),
        (lambda: UniformSmoothing(0), "size=0"),
        (lambda: TemporalSmoothing()(torch.zeros(4, 3, 8, 8)), "(4, 3, 8, 8)"),
    ],
)
def test_bad_input_is_one_line(build, printed):
    with pytest.raises(InputError) as caught:
        build()
    assert printed in str(caught.value)
    assert "\n" not in str(caught.value)
