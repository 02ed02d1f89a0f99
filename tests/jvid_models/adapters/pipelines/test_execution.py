"""The device of a pipeline, found once for many calls and anew where it may be another."""

from __future__ import annotations

import diffusers
import pytest
import torch
from diffusers.hooks import apply_group_offloading, group_offloading

from benchmarks.published.tiny import build
from jvid_models.adapters.pipelines import PipelinePrompts, from_pipeline
from jvid_models.adapters.pipelines.execution import with_known_device
from jvid_models.adapters.pipelines.networks import hooked_in, modules_of
from jvid_models.adapters.pipelines.placement import PlacingHook
from tests.jvid_models.adapters.pipelines.toys import toy

CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.fixture
def pipe():
    return build("WanPipeline").pipe


@pytest.fixture
def searched(monkeypatch):
    """The modules that diffusers searches for the device of a pipeline."""
    found = []
    own = group_offloading._get_top_level_group_offload_hook
    monkeypatch.setattr(
        group_offloading,
        "_get_top_level_group_offload_hook",
        lambda module: found.append(module) or own(module),
    )
    return found


def viewed(pipe):
    return with_known_device(pipe, hooked_in(modules_of(pipe).values()))


def test_a_view_is_the_pipeline_with_its_device(pipe, searched):
    view = viewed(pipe)
    assert view is not pipe
    assert isinstance(view, diffusers.WanPipeline)
    assert type(view).__name__ == "WanPipeline"
    assert type(pipe) is diffusers.WanPipeline
    searched.clear()
    assert viewed(pipe)._execution_device == view.device == CPU
    assert not searched
    view.mark = 1
    assert pipe.__dict__.pop("mark") == 1


def test_it_is_found_anew_where_a_part_is_moved_or_another(pipe):
    assert viewed(pipe)._execution_device == CPU
    pipe.transformer.to("meta")
    assert viewed(pipe)._execution_device == pipe._execution_device
    pipe.text_encoder.to("meta")
    pipe.vae.to("meta")
    assert viewed(pipe)._execution_device == META
    pipe.vae = build("WanPipeline").pipe.vae
    assert viewed(pipe)._execution_device == pipe._execution_device
    pipe.text_encoder, pipe.transformer = None, build("WanPipeline").pipe.transformer
    assert viewed(pipe)._execution_device == pipe._execution_device == CPU


def test_a_hook_has_the_device(pipe):
    assert viewed(pipe) is not pipe
    apply_group_offloading(pipe.text_encoder, CPU, CPU, offload_type="leaf_level")
    assert viewed(pipe) is pipe
    pipe = build("WanPipeline").pipe
    hooked = hooked_in(modules_of(pipe).values())
    pipe.vae._hf_hook = PlacingHook(META)
    assert with_known_device(pipe, hooked) is pipe
    del pipe.vae._hf_hook
    pipe.vae.decoder._hf_hook = PlacingHook(META)
    assert viewed(pipe) is pipe


def test_of_a_class_that_finds_it_otherwise_nothing_is_known(pipe):
    class Elsewhere(diffusers.WanPipeline):
        @property
        def _execution_device(self):
            return META

    pipe.__class__ = Elsewhere
    assert viewed(pipe) is pipe
    other = toy()
    assert viewed(other) is other  # its networks are no models of diffusers


def test_evaluations_search_no_module(pipe, searched):
    denoiser = from_pipeline(
        pipe, guidance_scale=2.0, height=32, width=48, num_frames=5, max_sequence_length=16
    )
    x, cond = torch.randn(1, *denoiser.shape), PipelinePrompts()(["a cat"])
    first = denoiser(x, torch.tensor(0.8, dtype=torch.float64), cond)
    searched.clear()
    assert not torch.equal(denoiser(x, torch.tensor(0.5, dtype=torch.float64), cond), first)
    assert not searched


def test_modules_with_hooks_are_found_in_the_order_of_modules(pipe):
    network = pipe.transformer
    expected = [each for each in network.modules() if isinstance(each, torch.nn.Linear)]
    network.same = expected[0]
    for each in expected:
        each._hf_hook = PlacingHook(CPU)
    assert hooked_in([network, network]) == expected
