"""Clips of any length by a strategy: as they are up to the ensemble's frames, in windows beyond."""

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
from jvid.ensemble import Ensemble, FrameRule, Member, compose
from jvid.errors import InputError
from jvid.plugins.choice import Choice
from jvid.plugins.registry import using
from jvid.strategy import ExpertStrategy, Guidance, Strategy
from jvid.strategy.shorthand import with_guidance
from jvid.strategy.windows import windows
from tests.toy import SHAPE, Conditional, built, toy_ensemble, toy_registry

KNOWN = SHAPE[1]
KEPT = with_guidance(Strategy(Choice("always", {"name": "video"}), Choice("ddim"), steps=3), 2.0)
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


def seeing_toy() -> tuple[Ensemble, list[tuple[int, int]]]:
    """A toy whose video expert looks at its frames, and what it saw."""
    seen: list[tuple[int, int]] = []
    return toy_ensemble(wrap=lambda inner: Seeing(inner, seen) if inner.std == 0.5 else inner), seen


@pytest.fixture(autouse=True)
def _toys() -> Any:
    built.clear()
    with using(toy_registry()):
        yield


def clip(sampler: Sampler, toy: Ensemble, frames: int) -> Tensor:
    return sampler(toy.latents(frames), seeds=[3], cond=toy.condition(["a person running"]))


@given(frame_counts, st.integers(0, KNOWN - 1))
def test_windows_of_the_ensembles_frames_only_beyond_them(frames: int, overlap: int) -> None:
    toy, seen = seeing_toy()
    strategy = attrs.evolve(KEPT, overlap=overlap)
    video = toy.denoiser("video")
    with using(toy_registry()):
        made = clip(compose(strategy, toy, frames), toy, frames)
        # Both halves of guidance are in one call, and no call has more frames than the expert knows.
        count = len(Windowed(video, KNOWN, KNOWN - overlap).starts(frames))
        assert seen == [(2, min(frames, KNOWN))] * 3 * count
        whole = clip(compose(strategy, toy), toy, frames)
        by_hand = Expert(Guided(Windowed(video, KNOWN, KNOWN - overlap), 2.0))
        sampler = compose(strategy, toy)
        other = attrs.evolve(sampler, experts={"video": by_hand})
    assert torch.equal(made, whole) == (frames <= KNOWN)
    # Guidance within windows or around them: the same but for rounding.
    torch.testing.assert_close(made, clip(other, toy, frames), rtol=1e-5, atol=1e-5)


def test_frames_need_no_windows() -> None:
    toy, _seen = seeing_toy()
    assert toy.strategy is not None
    experts = compose(toy.strategy, toy, 3 * KNOWN).experts
    video, image = experts["video"].denoiser, experts["image"].denoiser
    assert isinstance(video, Windowed)
    assert (video.size, video.stride) == (KNOWN, KNOWN - 4)
    assert isinstance(image, Guided)
    assert isinstance(image.denoiser, Framewise)
    image_alone = attrs.evolve(KEPT, selector=Choice("always", {"name": "image"}))
    assert tuple(compose(image_alone, toy, 3 * KNOWN).experts) == ("image",)


def test_windows_that_a_strategy_states_are_the_only_ones() -> None:
    stated = KEPT.with_expert("video", ExpertStrategy(("windowed:size=3,stride=2", "guided:scale=2")))
    toy, seen = seeing_toy()
    denoiser = compose(stated, toy, 3 * KNOWN).experts["video"].denoiser
    assert isinstance(denoiser, Guided)
    assert (denoiser.denoiser.size, denoiser.denoiser.stride) == (3, 2)
    clip(compose(stated, toy, 3 * KNOWN), toy, 3 * KNOWN)
    assert {frames for _, frames in seen} == {3}


def test_overlap_changes_long_clips_alone() -> None:
    toy, _seen = seeing_toy()
    one, two = (attrs.evolve(KEPT, overlap=overlap) for overlap in (1, 3))
    for frames in (KNOWN - 1, KNOWN, 3 * KNOWN):
        clips = [clip(compose(strategy, toy, frames), toy, frames) for strategy in (one, two)]
        assert torch.equal(*clips) == (frames <= KNOWN)


def test_rescaling_is_within_a_window() -> None:
    toy, _seen = seeing_toy()
    rescaled = attrs.evolve(with_guidance(KEPT, Guidance(3, rescale=1.0)), overlap=0)
    made = clip(compose(rescaled, toy, 2 * KNOWN), toy, 2 * KNOWN)
    expert = Expert(Windowed(Guided(toy.denoiser("video"), 3, rescale=1.0), KNOWN, KNOWN))
    by_hand = attrs.evolve(compose(KEPT, toy), experts={"video": expert})
    assert torch.equal(made, clip(by_hand, toy, 2 * KNOWN))


@pytest.mark.parametrize("overlap", [KNOWN, KNOWN + 7])
def test_windows_that_would_not_move_on_are_refused_before_a_network(overlap: int) -> None:
    strategy = attrs.evolve(KEPT, overlap=overlap)
    with pytest.raises(InputError, match=f"overlap {overlap}: .* at most {KNOWN - 1}"):
        compose(strategy, toy_ensemble(), KNOWN + 1)
    assert built == []
    # It does not matter to shorter clips, so a strategy for long windows serves an ensemble of few frames.
    compose(strategy, toy_ensemble(), KNOWN)
    compose(strategy, toy_ensemble())


@pytest.mark.parametrize("frames", [0, -1, 2.0, True, "16"])
def test_what_is_no_number_of_frames_is_refused(frames: Any) -> None:
    with pytest.raises(InputError, match=r"frames .*: expected a whole number"):
        compose(KEPT, toy_ensemble(), frames)
    assert built == []


def test_windows_are_of_latents_where_those_stand_for_several_frames() -> None:
    """A causal autoencoder's 4k + 1 frames: windows are counted in latents."""
    toy, _seen = seeing_toy()
    causal = Ensemble(toy.members, SHAPE, frames=FrameRule(4, 1), schedule=toy.schedule)
    assert causal.frames.frames(KNOWN) == 17
    assert not isinstance(compose(KEPT, causal, 17).experts["video"].denoiser, Windowed)
    long = compose(attrs.evolve(KEPT, overlap=2), causal, 21).experts["video"].denoiser
    assert (long.size, long.stride) == (KNOWN, KNOWN - 2)
    with pytest.raises(InputError, match=r"frames 20: expected 4k \+ 1, such as 17 or 21"):
        compose(KEPT, causal, 20)


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


def test_a_member_of_frames_alone_needs_no_window() -> None:
    toy = toy_ensemble()
    sharp = Ensemble({"sharp": Member(toy.members["image"].denoiser, "frames")}, SHAPE)
    denoiser = compose(Strategy("always:name=sharp", steps=2), sharp, 3 * KNOWN).experts["sharp"].denoiser
    assert isinstance(denoiser, Framewise)
