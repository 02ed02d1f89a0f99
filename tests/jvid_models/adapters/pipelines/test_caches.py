"""diffusers' caches and attention backends in a pipeline's networks: as in the pipeline's own run, each run by itself."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import attrs
import diffusers
import pytest
import torch

from benchmarks.published.comparison import prepared_run
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.selectors import Always
from jvid.solvers import DDIM
from jvid_models.adapters.pipelines import PipelinePrompts, from_pipeline
from jvid_models.adapters.pipelines.caches import has_caches

STEPS = 4


def first_block(pipe):
    return diffusers.FirstBlockCacheConfig(threshold=100.0)


def broadcast(pipe):
    return diffusers.PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2,
        cross_attention_block_skip_range=3,
        spatial_attention_timestep_skip_range=(0, 1001),
        cross_attention_timestep_skip_range=(0, 1001),
        current_timestep_callback=lambda: pipe._current_timestep,
    )


@pytest.fixture(scope="module")
def plain():
    """A run of Wan's pipeline without a cache."""
    return prepared_run("WanPipeline", STEPS)


@contextmanager
def cached(run, config):
    transformer = run.denoiser.pipe.transformer
    transformer.enable_cache(config(run.denoiser.pipe))
    try:
        yield
    finally:
        transformer.disable_cache()


def stock(run):
    """diffusers' own run with the same first latents, behind which its caches are reset."""
    setting, pipe = run.denoiser.setting, run.denoiser.pipe
    latents = setting.layout.insert(run.first, torch.zeros(run.first.shape))
    return pipe(
        run.prompt, latents=latents, num_inference_steps=STEPS, output_type="latent", **run.denoiser.options
    )[0]


def sampled(run, prompt=None):
    """jvid's latents of the same run."""
    denoiser, x = run.denoiser, run.first
    cond = PipelinePrompts()([prompt or run.prompt])
    for t in run.grid[:-1]:
        yield denoiser(x, torch.tensor(t, dtype=torch.float64), cond)


def off(one, other):
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("config", [first_block, broadcast])
def test_a_cache_is_kept_in_a_run_and_empty_at_the_next(plain, config):
    without = stock(plain)
    with cached(plain, config):
        expected = stock(plain)
        assert off(without, expected) > 1e-4  # the cache does something
        for _ in range(2):
            sampler = Sampler({"it": Expert(plain.denoiser)}, Always("it"), DDIM(), plain.grid)
            got = sampler(cond=PipelinePrompts()([plain.prompt]), seeds=[0], x=plain.first)
            assert off(got, expected) < 1e-5
        assert off(stock(plain), expected) == 0.0  # jvid's runs left nothing in the pipeline


def test_runs_that_take_turns_in_one_network_have_caches_of_their_own(plain):
    with cached(plain, first_block):
        other = from_pipeline(plain.denoiser.pipe, untested=True, **plain.denoiser.options)
        runs = [sampled(plain), sampled(plain, "a green bird"), sampled(attrs.evolve(plain, denoiser=other))]
        turns = [torch.stack(each) for each in zip(*zip(*runs, strict=True), strict=True)]
        for alone, among in zip([sampled(plain), sampled(plain, "a green bird")], turns, strict=False):
            assert torch.equal(torch.stack(list(alone)), among)
        assert torch.equal(turns[0], turns[2])
        assert off(turns[1], turns[0]) > 1e-4


def test_a_network_that_is_cached_is_found(plain):
    transformer = plain.denoiser.pipe.transformer
    assert not has_caches(transformer)
    with cached(plain, broadcast):
        assert has_caches(transformer)


def test_an_attention_backend_is_one_experts(plain, monkeypatch):
    from diffusers.models import attention_dispatch

    registry = attention_dispatch._AttentionBackendRegistry
    name, called = attention_dispatch.AttentionBackendName._NATIVE_MATH, []
    own = registry._backends[name]
    monkeypatch.setitem(
        registry._backends, name, lambda *args, **kwargs: called.append(1) or own(*args, **kwargs)
    )
    monkeypatch.setattr(registry, "_active_backend", registry._active_backend)
    pipe = copy.deepcopy(plain.denoiser.pipe)
    other = from_pipeline(pipe, untested=True, **plain.denoiser.options)
    x, t = plain.first, torch.tensor(0.5, dtype=torch.float64)
    cond = PipelinePrompts()([plain.prompt])
    before = plain.denoiser(x, t, cond)
    plain.denoiser.pipe.transformer.set_attention_backend("native")
    pipe.transformer.set_attention_backend("_native_math")
    try:
        assert torch.equal(plain.denoiser(x, t, cond), before)
        assert not called
        assert off(other(x, t, cond), before) < 1e-5
        assert called
    finally:
        plain.denoiser.pipe.transformer.reset_attention_backend()
