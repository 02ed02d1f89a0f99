"""Spaces of one encoder: the affine map between them, and denoisers across it, against closed forms."""

from __future__ import annotations

import attrs
import pytest
import torch

import jvid
from jvid.core.renormalized import Renormalized, in_space
from jvid.core.spaces import LatentSpace, affine, same_space
from jvid.errors import InputError
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.testing import GaussianOracle

OUTER = LatentSpace("kl", scaling=0.2, shift=0.1, encoder="kl-f8")
SHIFTS = (0.3, -0.2, 0.0, 0.7)
INNER = LatentSpace("normalised", scaling=0.3, shift=SHIFTS, encoder="kl-f8")
VP = TabulatedSchedule.scaled_linear()


@attrs.frozen
class Oracle:
    """A Gaussian in each channel, in a space."""

    space: LatentSpace | None
    schedule: object
    means: tuple[float, ...]
    std: float

    def __call__(self, x, t, cond):
        parts = [
            GaussianOracle(self.schedule, m, self.std)(c, t, cond)
            for c, m in zip(x.split(1, 1), self.means, strict=True)
        ]
        return torch.cat(parts, 1)


def pair(schedule):
    """One distribution as both spaces have it."""
    a, b = affine(OUTER, INNER)
    outer = Oracle(OUTER, schedule, (0.4,) * 4, 0.6)
    return outer, Oracle(INNER, schedule, tuple(a * 0.4 + each for each in b), abs(a) * 0.6)


def test_the_map_takes_latents_of_one_space_to_the_other():
    encoded = torch.randn(2, 4, 1, 3, 3)
    shift = torch.tensor(SHIFTS).view(1, -1, 1, 1, 1)
    a, b = affine(OUTER, INNER)
    z, inner = 0.2 * (encoded - 0.1), 0.3 * (encoded - shift)
    torch.testing.assert_close(a * z + torch.tensor(b).view(1, -1, 1, 1, 1), inner)
    assert affine(OUTER, OUTER) == (1.0, (0.0,) * 4)


@pytest.mark.parametrize(
    "schedule", [VP, FlowMatching(3.0), VarianceExploding()], ids=lambda s: type(s).__name__
)
def test_a_denoiser_across_the_map_is_exact(schedule):
    outer, inner = pair(schedule)
    across = in_space(inner, OUTER)
    assert isinstance(across, Renormalized)
    assert across.space == OUTER
    assert across.schedule == schedule
    x = torch.randn(3, 4, 2, 2, 2, dtype=torch.float64) * 2
    for t in (torch.tensor(0.9), torch.tensor([0.0, 0.3, 0.8], dtype=torch.float64)):
        torch.testing.assert_close(across(x, t, {}), outer(x, t, {}), atol=1e-6, rtol=1e-6)


def test_experts_of_one_encoder_are_mixed_and_end_in_the_first_ones_space():
    outer, inner = pair(VP)

    def run(**experts):
        sampler = jvid.Sampler(
            {name: jvid.Expert(denoiser) for name, denoiser in experts.items()},
            jvid.Cycle(tuple(experts)), jvid.DDIM(), jvid.Leading(10),
        )  # fmt: skip
        return sampler((4, 1, 2, 2), seeds=[0, 1])

    torch.testing.assert_close(run(a=outer, b=inner), run(a=outer, b=outer), atol=1e-5, rtol=1e-5)


def test_a_known_space_of_the_latents_is_the_reference():
    outer, inner = pair(VP)
    experts = {"a": jvid.Expert(inner)}
    parts = jvid.Always("a"), jvid.DDIM(), jvid.Leading(10)
    got = jvid.Sampler(experts, *parts, space=OUTER)((4, 1, 2, 2), seeds=[0])
    expected = jvid.Sampler({"a": jvid.Expert(outer)}, *parts)((4, 1, 2, 2), seeds=[0])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="the latents and 'a' do not share a latent space"):
        jvid.Sampler(experts, *parts, space=LatentSpace("another"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"encoder": None}, "autoencoder and scaling and shift"),
        ({"encoder": "another"}, "autoencoder"),
        ({"channels": 8, "shift": 0.0}, "channels"),
        ({"factor": 16}, "factor"),
        ({"frames": 4}, "frames"),
        ({"scaling": (0.3, 0.3, 0.3, 0.4)}, "ratio that is not the same"),
    ],
)
def test_what_has_no_map_is_refused_and_named(change, named):
    other = attrs.evolve(INNER, **change)
    assert affine(OUTER, other) is None
    denoisers = {"video": Oracle(OUTER, VP, (0.0,) * 4, 1.0), "image": Oracle(other, VP, (0.0,) * 4, 1.0)}
    with pytest.raises(InputError, match=named) as caught:
        same_space(denoisers)
    assert "'video' and 'image'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_user_who_knows_mixes_what_differs():
    other = LatentSpace("taesd")
    denoisers = {"video": Oracle(OUTER, VP, (0.0,) * 4, 1.0), "image": Oracle(other, VP, (0.0,) * 4, 1.0)}
    assert same_space(denoisers, trusted=True) == OUTER
    experts = {name: jvid.Expert(each) for name, each in denoisers.items()}
    parts = jvid.Always("image"), jvid.DDIM(), jvid.Leading(3)
    with pytest.raises(InputError, match="same_space=True"):
        jvid.Sampler(experts, *parts)
    got = jvid.Sampler(experts, *parts, same_space=True)((4, 1, 2, 2), seeds=[0])
    assert got.shape == (1, 4, 1, 2, 2)
    ensemble = jvid.Ensemble(denoisers, (4, 1, 2, 2), same_space=True)
    strategy = jvid.Strategy("cycle:experts=video+image", steps=2)
    jvid.compose(strategy, ensemble)
    with pytest.raises(InputError, match="do not share"):
        jvid.compose(strategy, jvid.Ensemble(denoisers, (4, 1, 2, 2)))


class Decoder:
    """A codec of the inner space."""

    space = INNER

    def decode(self, latents):
        return latents


def test_latents_are_in_the_space_of_the_codec():
    outer, inner = pair(VP)
    strategy = jvid.Strategy("cycle:experts=a+b", steps=4)
    members = {"a": outer, "b": inner}
    got = jvid.compose(strategy, jvid.Ensemble(members, (4, 1, 2, 2), codec=Decoder()))
    expected = jvid.compose(strategy, jvid.Ensemble({"a": inner, "b": inner}, (4, 1, 2, 2), codec=Decoder()))
    run = lambda sampler: sampler((4, 1, 2, 2), seeds=[0])  # noqa: E731
    torch.testing.assert_close(run(got), run(expected), atol=1e-5, rtol=1e-5)
    first = jvid.compose(strategy, jvid.Ensemble(members, (4, 1, 2, 2)))
    assert not torch.allclose(run(first), run(expected), atol=1e-2)


def test_a_source_states_that_spaces_are_one():
    source = jvid.Source(
        experts={"a": "gaussian:schedule=cosine", "b": "gaussian:schedule=cosine"},
        shape=(4, 1, 2, 2),
        same_space=True,
    )
    assert jvid.Source.from_plain(source.to_plain()) == source
    assert source.load().same_space
    assert "same_space" not in jvid.Source("x", fps=2.0).to_plain()
    with pytest.raises(InputError, match="true or false"):
        jvid.Source("x", same_space="yes")


def test_spaces_of_equal_encoders_are_equal_under_other_names():
    one, other = LatentSpace("kl", encoder="kl-f8"), LatentSpace("temporal decoder", encoder="kl-f8")
    assert one == other
    assert hash(one) == hash(other)
    assert one != LatentSpace("kl-f9")
    assert one == LatentSpace("kl-f8")
    assert LatentSpace("cosmos", 2, scaling=[1.0, 2.0, 3.0, 4.0]).scaling == (1.0, 2.0, 3.0, 4.0)
