"""Numbers of frames: of an ensemble with a latent for each frame, and of causal autoencoders (4k + 1)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvid.ensemble import Ensemble, FrameRule
from jvid.errors import InputError
from jvid.schedules import FlowMatching
from jvid.testing import GaussianOracle

rules = st.builds(
    lambda factor, offset: FrameRule(factor, offset if factor > 1 else 0),
    st.integers(1, 8),
    st.integers(0, 1),
)


@given(rules, st.integers(1, 60))
def test_latents_stand_for_frames_and_back(rule: FrameRule, latents: int) -> None:
    frames = rule.frames(latents)
    assert rule.latents(frames) == latents
    assert frames == rule.factor * (latents - rule.offset) + rule.offset


@given(rules, st.integers(1, 200))
def test_every_number_of_frames_is_made_or_answered_with_ones_that_are(rule: FrameRule, frames: int) -> None:
    made = {rule.frames(latents) for latents in range(1, 202)}
    if frames in made:
        assert rule.frames(rule.latents(frames)) == frames
        return
    with pytest.raises(InputError, match=rf"frames {frames}: expected {rule.factor}k") as caught:
        rule.latents(frames)
    near = [int(word) for word in str(caught.value).partition("such as ")[2].split(" or ")]
    assert set(near) <= made
    assert min(abs(frames - other) for other in made) == min(abs(frames - other) for other in near)


def test_a_causal_autoencoder_has_4k_plus_1_frames() -> None:
    rule = FrameRule(4, 1, most=81)
    assert [rule.latents(frames) for frames in (1, 5, 81)] == [1, 2, 21]
    assert str(rule) == "4k + 1"
    with pytest.raises(InputError, match=r"frames 16: expected 4k \+ 1, such as 13 or 17"):
        rule.latents(16)
    with pytest.raises(InputError, match="frames 85: expected at most 81"):
        rule.latents(85)
    assert str(FrameRule(8)) == "8k"
    assert str(FrameRule()) == "any number"


@pytest.mark.parametrize("frames", [0, -1, 2.0, True, "16", None])
def test_what_is_no_number_of_frames_is_refused(frames: Any) -> None:
    for rule in (FrameRule(), FrameRule(4, 1)):
        with pytest.raises(InputError, match=r"frames .*: expected a whole number of frames, 1 or more"):
            rule.latents(frames)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 0}, "temporal factor 0"), ({"factor": 2.0}, "temporal factor 2.0"), ({"factor": True}, "temporal factor"),
        ({"factor": 4, "offset": 2}, "offset 2: expected 0, or 1 beside a factor above 1"), ({"offset": 1}, "offset 1"),
        ({"most": 0}, "most 0: expected a whole number"),
    ],
)  # fmt: skip
def test_what_is_no_rule_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FrameRule(**options)


def test_an_ensembles_latents_follow_its_rule() -> None:
    oracle = GaussianOracle(FlowMatching())
    causal = Ensemble({"a": oracle}, (16, 5, 4, 4), frames=FrameRule(4, 1))
    assert causal.latents() == causal.latents(17) == (16, 5, 4, 4)
    assert causal.latents(33) == (16, 9, 4, 4)
    with pytest.raises(InputError, match="frames 32"):
        causal.latents(32)
    assert Ensemble({"a": oracle}, (16, 5, 4, 4)).latents(32) == (16, 32, 4, 4)
