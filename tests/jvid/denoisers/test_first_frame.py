"""An image model predicts the first latent frame, other models those behind it."""

from __future__ import annotations

import torch

import jvid
from jvid.core.evaluations import evaluations_of
from jvid.core.keyed import keyed_normal
from jvid.denoisers.first_frame import FirstFrame
from jvid.testing import GaussianOracle

T = torch.tensor(0.5, dtype=torch.float64)


class Seen:
    """A denoiser that notes its frames and the text of each call."""

    schedule = jvid.FlowMatching()

    def __init__(self, value: float) -> None:
        self.value, self.calls = value, []

    def __call__(self, x, t, cond):
        self.calls.append((x.shape[2], cond.get("text")))
        return torch.full_like(x, self.value)


def test_each_sees_its_own_frames() -> None:
    picture, clips = Seen(1.0), Seen(2.0)
    text = jvid.PerFrame(torch.arange(8.0).view(2, 4, 1))
    x_0 = FirstFrame(picture, clips)(torch.zeros(2, 3, 4, 2, 2), T, {"text": text})
    assert x_0[:, :, 0].eq(1.0).all()
    assert x_0[:, :, 1:].eq(2.0).all()
    assert picture.calls[0][0] == 1
    assert torch.equal(picture.calls[0][1].tensor, text.tensor[:, :1])
    assert clips.calls == [(4, text)]


def test_a_clip_of_one_latent_frame_needs_no_others() -> None:
    picture, clips = Seen(1.0), Seen(2.0)
    both = FirstFrame(picture, clips)
    assert both(torch.zeros(1, 3, 1, 2, 2), T, {}).eq(1.0).all()
    assert clips.calls == []
    assert [(each.frames, each.rows) for each in evaluations_of(both, 0.5, 1)] == [(1, 1)]
    assert [(each.denoiser, each.frames) for each in evaluations_of(both, 0.5, 4)] == [
        (picture, 1),
        (clips, 4),
    ]


def test_of_one_exact_denoiser_it_is_that_denoiser() -> None:
    oracle = GaussianOracle(jvid.FlowMatching(), 0.3, 0.5)
    x = keyed_normal(range(2), ("x",), (3, 4, 2, 2), torch.float64)
    torch.testing.assert_close(FirstFrame(oracle, oracle)(x, T, {}), oracle(x, T, {}), rtol=0, atol=0)
