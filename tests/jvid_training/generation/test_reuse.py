"""Sets made of another set's latents: of another smoothing, and of another decoder."""

from __future__ import annotations

import attrs
import pytest

import jvid
from jvid.errors import InputError
from jvid_training.generation import ClipSet, finish, finishes, generate
from jvid_training.generation.files import batch_path
from jvid_training.generation.maker import Maker
from tests.generation_tools import content, other_part, stamps, tiny_ensemble
from tests.once import made_once
from tests.toy import toy_ensemble


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return made_once(tmp_path_factory, "tiny-ensemble", tiny_ensemble)


def smoothing(ensemble, threshold=None):
    chosen = () if threshold is None else (f"temporal:threshold={threshold}",)
    return attrs.evolve(ensemble.strategy, postprocessors=chosen)


def test_a_set_that_differs_in_smoothing_is_finished_and_not_sampled(tiny, tmp_path, monkeypatch):
    """Bit for bit what generate makes, its calls and seconds those of the set that was sampled; and it goes on."""
    ensemble = jvid.load("ensemble", str(tiny))
    options = {"num": 5, "batch": 2, "ensemble": str(tiny), "loaded": ensemble}
    plain = generate(tmp_path / "plain", strategy=smoothing(ensemble), **options)
    sampled = generate(tmp_path / "sampled", strategy=smoothing(ensemble, 1.5), **options)
    assert content(plain) != content(sampled)
    monkeypatch.setattr(Maker, "_sampled", None)
    finished = finish(tmp_path / "finished", plain, smoothing(ensemble, 1.5), ensemble)
    assert content(finished) == content(sampled)
    assert finished.spec == sampled.spec
    assert (finished.calls, finished.seconds) == (plain.calls, plain.seconds)
    batch_path(finished.folder, 1).unlink()
    kept = stamps(finished.folder)
    again = finish(finished.folder, plain, smoothing(ensemble, 1.5), ensemble)
    assert content(again) == content(sampled)
    assert stamps(again.folder).items() >= kept.items()


@pytest.mark.parametrize("threshold", [None, 1.5])
def test_another_decoder_takes_the_latents_that_are_there(tiny, tmp_path, monkeypatch, threshold):
    """Bit for bit what generate makes with the other decoder, and its request."""
    ensemble, folder = jvid.load("ensemble", str(tiny)), other_part(tmp_path / "other", tiny, "decoder")
    other = jvid.load("ensemble", str(folder))
    options = {"num": 3, "batch": 2}
    plain = generate(
        tmp_path / "plain", ensemble=str(tiny), loaded=ensemble, strategy=smoothing(ensemble), **options
    )
    strategy = smoothing(ensemble, threshold)
    sampled = generate(tmp_path / "sampled", ensemble=str(folder), loaded=other, strategy=strategy, **options)
    monkeypatch.setattr(Maker, "_sampled", None)
    stated = finish(tmp_path / "finished", plain, strategy, other, sampled_with=ensemble, source=str(folder))
    assert content(stated) == content(sampled)
    assert content(stated)[0] != content(plain)[0]
    assert stated.spec == sampled.spec
    with pytest.raises(InputError, match="of this ensemble"):
        finish(tmp_path / "without", plain, strategy, other)
    denoiser = jvid.load("ensemble", str(other_part(tmp_path / "video", tiny, "video")))
    with pytest.raises(InputError, match="differ in more than their decoder"):
        finish(tmp_path / "more", plain, strategy, denoiser, sampled_with=ensemble)


def test_what_another_set_cannot_be_finished_from_is_reported(tiny, tmp_path):
    ensemble = jvid.load("ensemble", str(tiny))
    made = generate(
        tmp_path / "a", num=2, batch=1, ensemble=str(tiny), loaded=ensemble, strategy=smoothing(ensemble, 2.0)
    )
    with pytest.raises(
        InputError, match="not a complete float32 set of this ensemble and strategy without post"
    ):
        finish(tmp_path / "b", made, smoothing(ensemble, 1.5), ensemble)  # smoothed already
    plain = generate(
        tmp_path / "c", num=2, batch=1, ensemble=str(tiny), loaded=ensemble, strategy=smoothing(ensemble)
    )
    assert finishes(smoothing(ensemble, 1.5), plain, ensemble)
    with pytest.raises(InputError, match="this ensemble"):
        finish(tmp_path / "b", plain, smoothing(ensemble, 1.5), toy_ensemble())
    batch_path(plain.folder, 1).unlink()
    assert not finishes(smoothing(ensemble, 1.5), ClipSet.open(plain.folder), ensemble)
    assert not (tmp_path / "b").exists()
