"""What a pipeline's denoiser keeps is of one run: parts that change between runs, and runs that take turns."""

from __future__ import annotations

import gc
import threading

import attrs
import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.published.comparison import prepared_run, run_of
from benchmarks.published.tiny import build
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.errors import InputError
from jvid.selectors import Always
from jvid.solvers import DDIM
from jvid_models.adapters.pipelines import PipelinePrompts, from_pipeline

OPTIONS = ("prompt", "num_inference_steps")


def sampler_of(run, denoiser=None):
    return Sampler({"it": Expert(denoiser or run.denoiser)}, Always("it"), DDIM(), run.grid)


def started(run, cond, sampler=None):
    """The states of a run, which a test advances."""
    return (sampler or sampler_of(run)).trace(cond=cond, seeds=[0], x=run.first)


def finished(states):
    """The latents behind the last step."""
    return [state.x for state in states][-1]


def again(run):
    """The same pipeline's own run as it is now, for jvid's denoiser of before."""
    given = {**run.denoiser.options, "prompt": run.prompt}
    return attrs.evolve(run_of(run.denoiser.pipe, given), denoiser=run.denoiser)


def negative(picture):
    """Edit a picture in place."""
    picture.paste(Image.fromarray(255 - np.asarray(picture)))


@pytest.mark.parametrize(
    "name", ["LTXImageToVideoPipeline", "WanImageToVideoPipeline:5b", "CogVideoXImageToVideoPipeline"]
)
def test_a_picture_and_an_autoencoder_that_change_are_seen_by_the_next_run(name):
    run = prepared_run(name)
    cond, sampler = PipelinePrompts()([run.prompt]), sampler_of(run)
    first = finished(started(run, cond, sampler))
    negative(run.denoiser.options["image"])
    edited = again(run)
    assert run.error(edited.stock) > 0.1
    assert edited.error(edited.sampled()) < 1e-5
    second = finished(started(edited, cond, sampler))  # with the condition of the first, too
    assert float((second - first).abs().max()) > 0.1
    assert torch.equal(second, finished(started(edited, PipelinePrompts()([run.prompt]), sampler)))
    with torch.no_grad():
        for parameter in run.denoiser.pipe.vae.parameters():
            parameter.mul_(1.02)
    changed = again(run)
    assert edited.error(changed.stock) > 1e-3
    assert changed.error(changed.sampled()) < 1e-5


def test_latents_are_decoded_as_they_are_with_a_first_frame_of_their_own():
    """The first frame of another picture than the pipeline has now: that of the latents is decoded."""
    run = prepared_run("LTXImageToVideoPipeline")
    latents = finished(started(run, PipelinePrompts()([run.prompt])))
    before = run.denoiser.frames(latents, "pt")
    negative(run.denoiser.options["image"])
    assert torch.equal(run.denoiser.frames(latents, "pt"), before)
    other = latents.clone()
    other[:, :, 0] *= -1.0
    assert float((run.denoiser.frames(other, "pt")[:, 0] - before[:, 0]).abs().max()) > 1e-3


@pytest.mark.parametrize("name", ["LTX2Pipeline", "LTXPipeline"])
def test_runs_that_take_turns_under_one_condition_are_each_as_alone(name):
    run = prepared_run(name)
    cond, sampler = PipelinePrompts()([run.prompt]), sampler_of(run)
    alone = finished(started(run, cond, sampler))
    one, other = started(run, cond, sampler), started(run, cond, sampler)
    turns = [(next(one).x, next(other).x) for _ in run.grid[:-1]]
    assert torch.equal(turns[-1][0], alone)
    assert torch.equal(turns[-1][1], alone)
    assert next(one, None) is None


def test_one_denoiser_as_two_experts_has_a_state_for_each():
    """LTX 2 with its sound: from the second half of the run on, an expert goes on where it was, not where the other was."""
    run = prepared_run("LTX2Pipeline")
    twin = from_pipeline(run.denoiser.pipe, untested=True, **run.denoiser.options)
    cond = PipelinePrompts()([run.prompt])

    class Half:
        experts = ("a", "b")

        def __call__(self, step, u):
            return {"a": 0.5, "b": 0.5} if step.index % 2 else {"a": 1.0}

    def of(other):
        experts = {"a": Expert(run.denoiser), "b": Expert(other)}
        return finished(started(run, cond, Sampler(experts, Half(), DDIM(), run.grid)))

    assert torch.equal(of(run.denoiser), of(twin))


def test_an_encoder_that_changes_behind_a_run_of_one_step_is_seen():
    run = prepared_run("WanPipeline", steps=1)
    cond, sampler = PipelinePrompts()([run.prompt]), sampler_of(run)
    first = finished(started(run, cond, sampler))
    with torch.no_grad():
        for parameter in run.denoiser.pipe.text_encoder.parameters():
            parameter.mul_(-1.5)
    second = finished(started(run, cond, sampler))
    fresh = from_pipeline(run.denoiser.pipe, untested=True, **run.denoiser.options)
    assert float((second - first).abs().max()) > 1e-3
    assert torch.equal(second, finished(started(run, cond, sampler_of(run, fresh))))


def test_prompts_are_encoded_once_a_run_of_several_windows(monkeypatch):
    tiny = build("LTXPipeline")
    options = {key: value for key, value in tiny.arguments.items() if key not in OPTIONS}
    denoiser, calls = from_pipeline(tiny.pipe, **options), []
    own = type(tiny.pipe).encode_prompt
    cond = PipelinePrompts()(["a cat"])
    sampler = Sampler({"it": Expert(denoiser)}, Always("it"), DDIM(), denoiser.grid(3))
    monkeypatch.setattr(
        type(tiny.pipe), "encode_prompt", lambda *args, **kwargs: calls.append(1) or own(*args, **kwargs)
    )
    for count in (1, 2):
        sampler(denoiser.shape, cond=cond, seeds=[0])
        assert len(calls) == count


def test_a_waiting_run_ends_with_its_iterator():
    run = prepared_run("LTX2Pipeline")
    threads, cond = threading.active_count(), PipelinePrompts()([run.prompt])
    states = started(run, cond)
    next(states)
    assert threading.active_count() == threads + 1
    del states
    gc.collect()
    assert threading.active_count() == threads


def test_another_scheduler_is_refused_until_the_denoiser_is_made_again():
    run = prepared_run("LTXPipeline")
    pipe, cond = run.denoiser.pipe, PipelinePrompts()([run.prompt])
    own = pipe.scheduler
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler.from_config(own.config, shift=7.0)
    with pytest.raises(
        InputError,
        match=r"LTXPipeline has another scheduler .*\(now a FlowMatch\w+\): make the ensemble again",
    ):
        finished(started(run, cond))
    fresh = from_pipeline(pipe, **run.denoiser.options)
    assert fresh.schedule is not None
    pipe.scheduler = own
    finished(started(run, cond))


def test_a_pipeline_goes_on_in_another_precision():
    run = prepared_run("LTXPipeline")
    cond, sampler = PipelinePrompts()([run.prompt]), sampler_of(run)
    single = finished(started(run, cond, sampler))
    run.denoiser.pipe.to(torch.bfloat16)
    half = finished(started(run, cond, sampler))
    assert 0.0 < float((half - single).abs().max() / single.abs().max()) < 0.2
    run.denoiser.pipe.to(torch.float32)
    assert torch.isfinite(finished(started(run, cond, sampler))).all()


def test_what_begins_a_run_is_that_runs():
    """Draws of `begin` are in the next run, and in no other condition's."""
    run = prepared_run("StableVideoDiffusionPipeline")
    denoiser, cond = run.denoiser, PipelinePrompts()([run.prompt])
    shape, steps = run.denoiser.setting.layout.shape, len(run.grid) - 1

    def of(seed):
        x = denoiser.begin(shape, steps, cond, torch.Generator().manual_seed(seed))
        return finished(sampler_of(run).trace(cond=cond, seeds=[0], x=x))

    assert torch.equal(of(1), of(1))
    assert not torch.equal(of(1), of(2))


def test_times_that_are_no_numbers_are_refused():
    """LTX stretches its times between the first and the last: in one step it divides by zero."""
    with pytest.raises(InputError, match="LTXPipeline visits timesteps that are NaN or infinite in 1 steps"):
        prepared_run("LTXPipeline", steps=1)


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_waiting_run_is_resumed_where_it_was_unless_the_first_goes_on(goes_on):
    """The first one keeps its state while it may go on, and is left alone then."""
    run = prepared_run("LTX2Pipeline")
    cond, sampler = PipelinePrompts()([run.prompt]), sampler_of(run)
    unbroken = finished(started(run, cond, sampler))
    states = started(run, cond, sampler)
    next(states)
    state = next(states)
    if not goes_on:
        del states
    resumed = finished(sampler.trace(cond=cond, resume=state))
    assert torch.equal(finished(states) if goes_on else resumed, unbroken)


def test_many_runs_that_take_turns_have_a_state_each():
    run = prepared_run("LTX2Pipeline")
    cond, sampler = PipelinePrompts()([run.prompt]), sampler_of(run)
    alone = finished(started(run, cond, sampler))
    runs = [started(run, cond, sampler) for _ in range(18)]
    turns = [[next(each).x for each in runs] for _ in run.grid[:-1]]
    assert all(torch.equal(each, alone) for each in turns[-1])


def test_a_waiting_run_keeps_its_own_options():
    """Two denoisers of one pipeline, which keeps the options of the latest call in its attributes."""
    run = prepared_run("LTX2Pipeline")
    pipe, cond = run.denoiser.pipe, PipelinePrompts()([run.prompt])
    samplers = [
        sampler_of(run, from_pipeline(pipe, **{**run.denoiser.options, "guidance_scale": scale}))
        for scale in (6.0, 1.0)
    ]
    alone = [finished(started(run, cond, sampler)) for sampler in samplers]
    assert float((alone[0] - alone[1]).abs().max()) > 1e-2
    runs = [started(run, cond, sampler) for sampler in samplers]
    turns = [[next(each).x for each in runs] for _ in run.grid[:-1]]
    assert all(map(torch.equal, turns[-1], alone))


def test_a_batch_of_clips_with_a_frame_of_their_own_is_decoded():
    run = prepared_run("LTXImageToVideoPipeline")
    latents = finished(started(run, PipelinePrompts()([run.prompt])))
    both = torch.cat([latents, latents.flip(0) * 0.5])
    for form in ("pt", "np"):
        rows = [torch.as_tensor(run.denoiser.frames(each[None], form)) for each in both]
        assert torch.equal(torch.as_tensor(run.denoiser.frames(both, form)), torch.cat(rows))
