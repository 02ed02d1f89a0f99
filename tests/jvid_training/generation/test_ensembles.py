"""Sets of ensembles of any experts: composed on the spot, each with a condition of its own; what their fingerprint depends on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import jvid
from jvid.core.conditions import PerExpert
from jvid.ensemble import Composition, Ensemble, FrameRule, Member, Source
from jvid.ensemble.pixels import PixelCodec
from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule
from jvid.strategy import ExpertStrategy, Strategy
from jvid_training.generation import ClipSet, generate
from jvid_training.generation.ensembles import ensemble_fingerprint
from tests.generation_tools import content, other_part, stamps, tiny_ensemble
from tests.toy import toy_ensemble

SCHEDULE = TabulatedSchedule.scaled_linear()
ORACLES = {
    name: f"gaussian:mean={mean},std=.3,schedule=scaled-linear" for name, mean in (("high", 0.5), ("mid", 0.0), ("low", -0.4))
}  # fmt: skip
THREE = Source(experts=ORACLES, codec="pixels", shape=(3, 4, 8, 8), fps=5.0)
STRATEGY = Strategy(
    "boundary:experts=high+mid+low,at=.3+.6",
    steps=6,
    experts={"low": ExpertStrategy(noise="mixed:alpha=1")},
    postprocessors=("temporal:threshold=1.5",),
)
WORDS = ["a square", "a circle", "a line"]


def test_a_set_of_three_oracles_is_what_the_library_samples(tmp_path: Path) -> None:
    made = generate(tmp_path / "set", num=5, ensemble=THREE, strategy=STRATEGY, prompts=WORDS, batch=2)
    assert ClipSet.open(tmp_path / "set").spec.ensemble == THREE
    assert made.fps == 5.0
    assert made.calls == {"high": 3, "mid": 6, "low": 9}
    models = THREE.load()
    composition = Composition(STRATEGY, models)
    latents = np.concatenate(list(made.latents_batches()))
    for i in range(5):
        alone = composition.sampler()((3, 4, 8, 8), seeds=[i], cond=composition.condition([WORDS[i % 3]]))
        assert np.array_equal(latents[i], alone[0].numpy())
    before = stamps(tmp_path / "set")
    grown = generate(tmp_path / "set", num=8, ensemble=THREE, strategy=STRATEGY, prompts=WORDS)
    assert before.items() <= stamps(tmp_path / "set").items()
    assert content(grown) == content(
        generate(tmp_path / "whole", num=8, ensemble=THREE, strategy=STRATEGY, prompts=WORDS, batch=2)
    )


def test_an_ensemble_that_recommends_no_strategy_takes_its_experts_in_turn(tmp_path: Path) -> None:
    made = generate(tmp_path / "set", num=1, ensemble=THREE, prompts=WORDS[:1])
    assert str(made.spec.strategy.selector) == "cycle:experts=high+mid+low"
    with pytest.raises(InputError, match="takes any sentence: give at least one prompt"):
        generate(tmp_path / "other", num=1, ensemble=THREE)


class Conditioned:
    """Predicts what its own condition holds, under a key of its own."""

    schedule = SCHEDULE

    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, x: Tensor, t: Tensor, cond: Any) -> Tensor:
        assert set(cond) - {"null", "layout", "borrowed"} == {self.key}
        return cond[self.key].reshape(-1, 1, 1, 1, 1).expand(x.shape).to(x.dtype)


def encoder(key: str, scale: float) -> Any:
    def encode(prompts: list[str]) -> dict[str, Any]:
        rows = torch.tensor([[scale * len(prompt)] for prompt in prompts])
        return {key: rows, "null": {key: torch.zeros_like(rows)}}

    return encode


def stated(**more: Any) -> Ensemble:
    """Two experts with encoders of their own, one of frames."""
    members = {
        "one": Member(Conditioned("a"), "clips", encoder("a", 0.01)),
        "two": Member(Conditioned("b"), "frames", encoder("b", -0.02)),
    }
    return Ensemble(members, (3, 4, 2, 2), codec=PixelCodec(), prompts=WORDS, name="stated", **more)


@pytest.mark.parametrize("micro", [1, 2, 4])
@pytest.mark.parametrize("expert", ["one", "two"])
def test_each_expert_has_the_rows_of_its_own_condition(tmp_path: Path, expert: str, micro: int) -> None:
    models = stated()
    assert isinstance(models.condition(WORDS), PerExpert)
    scale = {"one": 0.01, "two": -0.02}[expert]
    strategy = Strategy(f"boundary:experts=one+two+{expert},at=.2+.4", "ddim:eta=0", steps=8)
    made = generate(
        tmp_path / "set",
        num=8,
        ensemble="stated",
        loaded=models,
        strategy=strategy,
        batch=4,
        micro_batch=micro,
    )
    for i, latents in enumerate(np.concatenate(list(made.latents_batches()))):
        np.testing.assert_allclose(latents, scale * len(WORDS[i % 3]), atol=1e-6)


def test_a_wrapper_that_evaluates_another_expert_gives_it_its_own_condition(tmp_path: Path) -> None:
    strategy = Strategy(
        "always:name=one",
        "ddim:eta=0",
        steps=3,
        experts={"one": ExpertStrategy(("guided:scale=3,against=two",))},
    )
    made = generate(tmp_path / "set", num=4, ensemble="stated", loaded=stated(), strategy=strategy, batch=2)
    for i, latents in enumerate(np.concatenate(list(made.latents_batches()))):
        own, other = (scale * len(WORDS[i % 3]) for scale in (0.01, -0.02))
        np.testing.assert_allclose(latents, other + 3.0 * (own - other), atol=1e-5)


class Doubled(PixelCodec):
    """A causal codec: 1 + 2 (f - 1) frames of f latents."""

    def decode(self, latents: Tensor) -> Tensor:
        pixels = super().decode(latents)
        return torch.cat([pixels[:, :, :1], pixels[:, :, 1:].repeat_interleave(2, 2)], 2)


def test_clips_have_the_frames_that_their_latents_stand_for(tmp_path: Path) -> None:
    members = stated().members
    models = Ensemble(
        members, (3, 4, 2, 2), codec=Doubled(), prompts=WORDS, frames=FrameRule(2, 1),
        strategy=Strategy("always:name=two", overlap=1),
    )  # fmt: skip
    made = generate(tmp_path / "set", num=2, ensemble="stated", loaded=models, batch=1)
    assert (made.frames, made.spec.latents, made.clip(1).shape) == (7, (3, 4, 2, 2), (7, 2, 2, 3))
    longer = generate(tmp_path / "long", num=1, ensemble="stated", loaded=models, frames=11)
    assert (longer.frames, longer.spec.latents) == (11, (3, 6, 2, 2))
    # The set's own number is kept where none is stated; another one is another set.
    assert generate(tmp_path / "long", num=2, ensemble="stated", loaded=models).frames == 11
    with pytest.raises(InputError, match="frames: 11 then, 9 now"):
        generate(tmp_path / "long", num=2, ensemble="stated", loaded=models, frames=9)
    with pytest.raises(InputError, match=r"frames 8: expected 2k \+ 1"):
        generate(tmp_path / "none", num=1, ensemble="stated", loaded=models, frames=8)


def fingerprint(**changes: Any) -> str:
    values = {"experts": ORACLES, "codec": "pixels", "shape": (3, 4, 8, 8), "fps": 5.0, **changes}
    source = Source(**values)
    return ensemble_fingerprint(source.load(), source)


def test_the_fingerprint_of_a_composed_ensemble_is_of_all_that_it_states() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"experts": {**ORACLES, "low": "gaussian:mean=-.4,std=.31,schedule=scaled-linear"}},
        {"experts": {**ORACLES, "lower": ORACLES["low"]}},
        {"codec": "pixels:scale=2.0"},
        {"shape": (3, 4, 8, 9)},
        {"fps": 6.0},
        {"schedule": "cosine"},
        {"same_space": True},
    ]
    found = [fingerprint(**change) for change in changes]
    assert len(set(found)) == len(found)
    assert fingerprint() == found[0]
    source = Source(experts=ORACLES, codec="pixels:scale=2.0", shape=(3, 4, 8, 8), fps=5.0)
    latents = [ensemble_fingerprint(each.load(), each, decoder=False) for each in (source, THREE)]
    assert latents[0] == latents[1]


def test_the_fingerprint_of_folders_is_of_what_they_hold_and_not_of_where(tmp_path: Path) -> None:
    tiny = tiny_ensemble(tmp_path / "tiny")
    moved = other_part(tmp_path / "moved", tiny, "decoder")
    other = other_part(tmp_path / "other", tiny, "video")

    def of(folder: Path, decoder: bool = True) -> str:
        source = Source(experts={"a": f"{folder}#video", "b": f"{folder}#image"}, codec="pixels")
        return ensemble_fingerprint(source.load(), source, decoder)

    def plain(folder: Path, decoder: bool = True) -> str:
        return ensemble_fingerprint(jvid.load("ensemble", str(folder)), Source(str(folder)), decoder)

    for found in (of, plain):
        assert found(moved, False) == found(tiny, False) != found(other, False)
        assert found(moved) != found(tiny)
    (tmp_path / "again").symlink_to(tiny)
    assert of(tmp_path / "again") == of(tiny) != plain(tiny)


def test_the_fingerprints_of_version_0_1_are_kept() -> None:
    """Of the bundled ensemble, and of one without a folder whose class was called Pair."""
    assert ensemble_fingerprint(jvid.load("ensemble", "actions-64")) == "5635eb90b52138f68139d4a4c19e4fce"
    assert ensemble_fingerprint(toy_ensemble()) == "edbfad66b3e1afba8719db9579be72fa"
