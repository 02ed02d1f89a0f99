"""Clips of any length by a strategy: as they are up to the pair's frames, in windows beyond."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from jvid.core.protocols import Condition, Expert
from jvid.core.sampler import Sampler
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.denoisers.windowed import Windowed
from jvid.ensemble import Pair
from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.plugins.registry import using
from jvid.strategy.guidance import Guidance
from jvid.strategy.strategy import Strategy
from jvid.strategy.windows import clip_shape, windows
from tests.toy import Conditional, ToyPair, built, toy_registry

KNOWN = ToyPair.shape[1]
KEPT = Strategy(Choice("always", {"name": "video"}), Choice("ddim"), steps=3, guidance=2.0)
frame_counts = st.integers(1, 4 * KNOWN)


@attrs.frozen
class Seeing:
    """A video expert whose prediction depends on all frames that it sees; it notes how many, and how many rows."""

    inner: Conditional
    seen: list[tuple[int, int]]

    @property
    def schedule(self) -> Any:
        return self.inner.schedule

    def __call__(self, x: Tensor, t: Tensor, cond: Condition) -> Tensor:
        self.seen.append((x.shape[0], x.shape[2]))
        x_0 = self.inner(x, t, cond)
        return x_0 - 0.5 * x_0.mean(dim=2, keepdim=True)


class SeeingPair(ToyPair):
    """A toy whose video expert looks at its frames."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    @property
    def video(self) -> Any:
        return Seeing(super().video, self.seen)


@pytest.fixture(autouse=True)
def _toys() -> Any:
    built.clear()
    with using(toy_registry()):
        yield


def clip(sampler: Sampler, pair: Pair, frames: int) -> Tensor:
    cond = pair.text_encoder(["a person running"])
    return sampler(clip_shape(pair.shape, frames), seeds=[3], cond=cond)


@given(frame_counts, st.integers(0, KNOWN - 1))
def test_windows_of_the_pairs_frames_only_beyond_them(frames: int, overlap: int) -> None:
    pair = SeeingPair()
    strategy = attrs.evolve(KEPT, overlap=overlap)
    with using(toy_registry()):
        made = clip(strategy.sampler(pair, frames), pair, frames)
        # Both halves of guidance are in one call, and nothing is asked of more frames than the expert knows.
        count = len(Windowed(pair.video, KNOWN, KNOWN - overlap).starts(frames))
        assert pair.seen == [(2, min(frames, KNOWN))] * 3 * count
        whole = clip(strategy.sampler(pair), pair, frames)
        by_hand = Expert(Guided(Windowed(pair.video, KNOWN, KNOWN - overlap), 2.0))
        sampler = strategy.sampler(pair)
        other = attrs.evolve(sampler, experts={"video": by_hand})
    assert torch.equal(made, whole) == (frames <= KNOWN)
    # Guidance within windows or around them: the same but for rounding.
    torch.testing.assert_close(made, clip(other, pair, frames), rtol=1e-5, atol=1e-5)


def test_images_need_no_windows() -> None:
    pair = SeeingPair()
    experts = pair.strategy.sampler(pair, 3 * KNOWN).experts
    video, image = experts["video"].denoiser, experts["image"].denoiser
    assert isinstance(video, Windowed)
    assert (video.size, video.stride) == (KNOWN, KNOWN - 4)
    assert isinstance(image, Guided)
    assert isinstance(image.denoiser, Framewise)
    image_alone = attrs.evolve(KEPT, selector=Choice("always", {"name": "image"}), overlap=KNOWN)
    assert tuple(image_alone.sampler(pair, 3 * KNOWN).experts) == ("image",)


def test_overlap_changes_long_clips_alone() -> None:
    pair = SeeingPair()
    one, two = (attrs.evolve(KEPT, overlap=overlap) for overlap in (1, 3))
    for frames in (KNOWN - 1, KNOWN, 3 * KNOWN):
        clips = [clip(strategy.sampler(pair, frames), pair, frames) for strategy in (one, two)]
        assert torch.equal(*clips) == (frames <= KNOWN)


def test_rescaling_is_within_a_window() -> None:
    pair = SeeingPair()
    guidance = {"video": Guidance(3, rescale=1.0)}
    made = clip(attrs.evolve(KEPT, guidance=guidance, overlap=0).sampler(pair, 2 * KNOWN), pair, 2 * KNOWN)
    expert = Expert(Windowed(Guided(pair.video, 3, rescale=1.0), KNOWN, KNOWN))
    by_hand = attrs.evolve(KEPT.sampler(pair), experts={"video": expert})
    assert torch.equal(made, clip(by_hand, pair, 2 * KNOWN))


@pytest.mark.parametrize("overlap", [KNOWN, KNOWN + 7])
def test_windows_that_would_not_move_on_are_refused_before_a_network(overlap: int) -> None:
    strategy = attrs.evolve(KEPT, overlap=overlap)
    with pytest.raises(InputError, match=f"overlap {overlap}: .* at most {KNOWN - 1}"):
        strategy.sampler(ToyPair(), KNOWN + 1)
    assert built == []
    # It does not matter to shorter clips, so a strategy for long windows serves a pair of few frames.
    strategy.sampler(ToyPair(), KNOWN)
    strategy.sampler(ToyPair())


@pytest.mark.parametrize("frames", [0, -1, 2.0, True, "16"])
def test_what_is_no_number_of_frames_is_refused(frames: Any) -> None:
    with pytest.raises(InputError, match=r"frames .*: expected a whole number"):
        KEPT.sampler(ToyPair(), frames)
    assert built == []


@given(frame_counts, st.integers(1, 30), st.integers(0, 29))
def test_windows_move_on_and_hold_what_the_expert_knows(frames: int, known: int, overlap: int) -> None:
    if frames <= known:
        assert windows(frames, known, overlap) is None
    elif overlap >= known:
        with pytest.raises(InputError):
            windows(frames, known, overlap)
    else:
        size, stride = windows(frames, known, overlap) or (0, 0)
        assert size == known
        assert 1 <= stride == known - overlap
