"""Loops that are not one network call and one scheduler step a turn, against their own runs; what jvid does not see must fail."""

from __future__ import annotations

from copy import deepcopy

import diffusers
import pytest
import torch
from diffusers.utils.torch_utils import randn_tensor

from benchmarks.published.comparison import compare, run_of
from jvid.errors import InputError
from jvid_models.adapters.pipelines import setting
from jvid_models.adapters.pipelines.call import UnstatedSteps
from jvid_models.adapters.pipelines.loops import loop_of, preparing, priors_of
from jvid_models.adapters.pipelines.parts import StackedParts
from tests.jvid_models.adapters.pipelines.toys import ToyDecoder, ToyNetwork, ToyPipeline, toy

CALL = {"prompt": "a red cat"}


def scheduler(**config):
    return diffusers.DDIMScheduler(clip_sample=False, timestep_spacing="trailing", **config)


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ToyNetwork().eval()


def assert_equal(pipe, stated=False, **arguments):
    found = compare(run := run_of(pipe, CALL | arguments, stated=stated))
    assert found.error < 1e-5
    assert found.shifted > 1e-3
    assert found.prompt > 1e-3
    return run


@pytest.mark.parametrize("fault", ["noise", "global noise", "momentum", "pads"])
def test_a_run_waits_in_a_loop_with_a_state(fault):
    assert assert_equal(toy(fault)).denoiser.setting.streams


@pytest.mark.parametrize("fault", ["noise", "momentum"])
def test_a_turn_by_itself_is_not_one_of_a_loop_with_a_state(fault, monkeypatch):
    monkeypatch.setattr(setting, "keeps_state", lambda passes: False)
    assert compare(run_of(toy(fault), CALL)).error > 1e-3


@pytest.mark.parametrize("fault", ["counts", "weighs", "switches", "steps"])
def test_a_loop_that_counts_gets_its_steps(fault):
    run = assert_equal(toy(fault), stated=True)
    assert not run.denoiser.setting.streams
    assert run.denoiser.setting.times == run.grid[:-1]


def test_an_evaluation_is_the_turn_of_the_nearest_level():
    run = run_of(toy("counts"), CALL, stated=True)
    denoiser, cond = run.denoiser, {"prompt": torch.tensor([list(b"a cat")], dtype=torch.uint8)}
    plain = run_of(toy(), CALL).denoiser
    for turn, t in enumerate(run.grid[:-1]):
        level = torch.tensor(0.99 * t, dtype=torch.float64)
        alpha, sigma = map(float, denoiser.schedule(level))
        eps = [(run.first - alpha * each(run.first, level, cond)) / sigma for each in (denoiser, plain)]
        torch.testing.assert_close(eps[0], (1 + turn) * eps[1], rtol=1e-4, atol=1e-4)


def test_networks_are_not_called_in_the_turns_before():
    run = run_of(toy("counts"), CALL, stated=True)
    cond = {"prompt": torch.tensor([list(b"a cat")], dtype=torch.uint8)}
    calls = run.denoiser.pipe.network.calls
    run.denoiser(run.first, torch.tensor(run.grid[3], dtype=torch.float64), cond)
    assert run.denoiser.pipe.network.calls == calls + 1


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_x_0_is_thresholded_as_the_scheduler_does(prediction):
    pipe = toy(prediction_type=prediction, thresholding=True)
    run = run_of(pipe, CALL)
    for t, (output, sample) in zip(run.grid[:-1], run.turns, strict=True):
        n = round(1000 * t) - 1
        own = pipe.scheduler.step(output, n, sample).pred_original_sample
        cond = {"prompt": torch.tensor([list(CALL["prompt"].encode())], dtype=torch.uint8)}
        got = run.denoiser(sample.unsqueeze(2), torch.tensor(t, dtype=torch.float64), cond)
        torch.testing.assert_close(got.squeeze(2), own, rtol=1e-4, atol=1e-5)
    assert float(got.abs().max()) <= 1.0


class Learned(ToyNetwork):
    """A variance beside the output."""

    def forward(self, x, t, text):
        output = super().forward(x, t, text)
        return torch.cat([output, output.exp()], 1)


def test_a_learned_variance_is_left_out():
    pipe = toy()
    pipe.network = Learned().eval()
    pipe.scheduler = diffusers.DDPMScheduler(
        variance_type="learned_range", clip_sample=False, timestep_spacing="trailing"
    )
    from benchmarks.published.calm import LearnedVariance

    pipe.scheduler = LearnedVariance.from_config(pipe.scheduler.config)
    assert_equal(pipe)


class Prior(diffusers.DiffusionPipeline):
    """A pipeline that draws an embedding."""

    def __init__(self, scheduler) -> None:
        super().__init__()
        self.register_modules(scheduler=scheduler)
        self.calls = 0

    def __call__(self, prompt, generator=None):
        self.calls += 1
        return randn_tensor((1, 1), generator=generator) + len(prompt)


class Decoder(ToyPipeline):
    @torch.no_grad()
    def __call__(self, embedding=None, num_inference_steps=10, generator=None, output_type="pt"):
        self.scheduler.set_timesteps(num_inference_steps)
        latents = self.prepare_latents(1, 8, generator)
        for t in self.scheduler.timesteps:
            latents = self.scheduler.step(self.network(latents, t, embedding), t, latents).prev_sample
        return (self.vae.decode(latents / 0.2),)


class Combined(diffusers.DiffusionPipeline):
    def __init__(self, prior_scheduler, network, vae, scheduler) -> None:
        super().__init__()
        self.register_modules(prior_scheduler=prior_scheduler, network=network, vae=vae, scheduler=scheduler)
        self.prior_pipe = Prior(prior_scheduler)
        self.decoder_pipe = Decoder(network, vae, scheduler)

    def __call__(self, prompt=None, num_inference_steps=10, generator=None, output_type="pt"):
        embedding = self.prior_pipe(prompt, generator)
        return self.decoder_pipe(embedding, num_inference_steps, generator, output_type)


def test_the_loop_of_a_chain_is_that_of_its_decoder_and_the_prior_runs_once_a_condition():
    pipe = Combined(scheduler(), network(), ToyDecoder(), scheduler())
    prior = pipe.prior_pipe
    assert loop_of(pipe) is pipe.decoder_pipe
    assert priors_of(pipe) == ("prior_pipe",)
    run = assert_equal(pipe)
    assert pipe.prior_pipe is prior
    assert pipe.decoder_pipe.scheduler is pipe.scheduler
    before = prior.calls
    run.sampled()
    run.denoiser.grid(7)
    assert prior.calls == before + 1
    assert "_progress_bar_config" not in vars(prior), "its progress bars are shown again"


class Pixels(diffusers.DiffusionPipeline):
    """No autoencoder: what it prepares and returns are pictures."""

    def __init__(self, network, scheduler) -> None:
        super().__init__()
        self.register_modules(network=network, scheduler=scheduler)

    def prepare_intermediate_images(self, generator):
        return randn_tensor((1, 4, 8, 8), generator=generator)

    @torch.no_grad()
    def __call__(self, prompt=None, num_inference_steps=10, generator=None, output_type="np"):
        self.scheduler.set_timesteps(num_inference_steps)
        pictures = self.prepare_intermediate_images(generator)
        for t in self.scheduler.timesteps:
            output = self.network(pictures, t, torch.tensor([float(len(prompt))]))
            pictures = self.scheduler.step(output, t, pictures).prev_sample
        return (pictures if output_type == "pt" else (pictures / 2 + 0.5).clamp(0, 1).numpy(),)


def test_pixels_are_latents():
    run = assert_equal(Pixels(network(), scheduler()))
    space = run.denoiser.space
    assert (space.autoencoder, space.factor, space.channels) == ("pixels", 1, 4)
    assert run.denoiser.frames(torch.zeros(1, 4, 1, 8, 8)).min() == 0.5
    assert preparing(run.denoiser.pipe) == "prepare_intermediate_images"


class Finished(ToyPipeline):
    """A method behind the loop that fits the latents to their own mean."""

    def fit_to_mean(self, latents):
        return latents - 0.5 * latents.mean()

    def unscaled(self, latents):
        return latents / 0.2

    @torch.no_grad()
    def __call__(self, prompt=None, num_inference_steps=10, generator=None, output_type="pt"):
        text = self.encode_prompt([prompt])
        self.scheduler.set_timesteps(num_inference_steps)
        latents = self.prepare_latents(1, 8, generator)
        for t in self.scheduler.timesteps:
            latents = self.scheduler.step(self.network(latents, t, text), t, latents).prev_sample
        return (self.vae.decode(self.unscaled(self.fit_to_mean(latents))),)


def test_what_is_done_to_latents_behind_the_loop_is_done_by_frames():
    run = assert_equal(Finished(network(), ToyDecoder(), scheduler()))
    assert run.denoiser.space.scaling == pytest.approx(0.2, rel=1e-4)


class ByFrame(ToyPipeline):
    """A copy of the scheduler for each frame."""

    @torch.no_grad()
    def __call__(self, prompt=None, num_inference_steps=10, generator=None, output_type="pt"):
        text = self.encode_prompt([prompt])
        self.scheduler.set_timesteps(num_inference_steps)
        latents = self.prepare_latents(3, 8, generator).transpose(0, 1)[None].contiguous()
        copies = [deepcopy(self.scheduler) for _ in range(3)]
        for t in self.scheduler.timesteps:
            output = self.network(latents[0].transpose(0, 1), t, text)
            for i, each in enumerate(copies):
                latents[:, :, i] = each.step(output[None, i], t, latents[:, :, i], return_dict=False)[0]
        return (self.vae.decode(latents),)


def test_copies_of_the_scheduler_for_each_frame_are_one_step():
    run = assert_equal(ByFrame(network(), ToyDecoder(), scheduler()))
    assert run.denoiser.setting.manner.parts == 3
    assert not run.denoiser.setting.streams


def test_parts_are_stepped_together():
    latents = torch.arange(6.0).reshape(3, 2)
    parts = StackedParts(3, lambda output, timestep, sample: sample + 10 * output)
    for i in range(3):
        latents[i] = parts.step(torch.full((2,), float(i)), 0, latents[i])
    assert latents.tolist() == [[0, 1], [12, 13], [24, 25]]


class Reading(ToyPipeline):
    """One that reads what its network computed inside, by a hook."""

    @torch.no_grad()
    def __call__(self, prompt=None, num_inference_steps=10, generator=None, output_type="pt"):
        text, seen = self.encode_prompt([prompt]), []
        self.scheduler.set_timesteps(num_inference_steps)
        latents = self.prepare_latents(1, 8, generator)
        with self.network.mix.register_forward_hook(lambda module, given, output: seen.append(output)):
            for t in self.scheduler.timesteps:
                output = self.network(latents, t, text) + 0.1 * seen.pop()
                latents = self.scheduler.step(output, t, latents).prev_sample
        return (self.vae.decode(latents),)


def test_a_network_of_which_more_is_read_than_its_answer_is_called_each_time():
    assert_equal(Reading(network(), ToyDecoder(), scheduler()))


def test_an_error_of_a_loop_that_has_no_room_names_the_number_of_steps():
    class Keeping(ToyPipeline):
        @torch.no_grad()
        def __call__(self, prompt=None, num_inference_steps=10, generator=None, output_type="pt"):
            text, kept = self.encode_prompt([prompt]), torch.zeros(num_inference_steps)
            self.scheduler.set_timesteps(num_inference_steps)
            latents = self.prepare_latents(1, 8, generator)
            for i, t in enumerate(self.scheduler.timesteps):
                kept[i] = latents.mean()
                output = self.network(latents, t, text) + kept.sum()
                latents = self.scheduler.step(output, t, latents).prev_sample
            return (self.vae.decode(latents),)

    with pytest.raises(UnstatedSteps, match="num_inference_steps"):
        compare(run_of(Keeping(network(), ToyDecoder(), scheduler()), CALL))
    assert_equal(Keeping(network(), ToyDecoder(), scheduler()), stated=True)


def test_a_loop_of_a_fixed_number_of_steps_needs_it():
    class Scheduled(ToyPipeline):
        @torch.no_grad()
        def __call__(self, prompt=None, num_inference_steps=4, generator=None, output_type="pt", scales=(1,)):
            if len(scales) != num_inference_steps:
                raise ValueError("one scale for each step")
            return super().__call__(prompt, 64, num_inference_steps, generator, output_type)

    given = {"scales": (1, 1, 1, 1)}
    with pytest.raises(UnstatedSteps, match=r"does not take 8 steps \(one scale for each step\): state"):
        run_of(Scheduled(network(), ToyDecoder(), scheduler()), CALL | given)
    assert_equal(Scheduled(network(), ToyDecoder(), scheduler()), stated=True, **given)


class Leaving(ToyPipeline):
    """One that leaves the last timestep out."""

    @torch.no_grad()
    def __call__(self, prompt=None, num_inference_steps=10, generator=None, output_type="pt"):
        text = self.encode_prompt([prompt])
        self.scheduler.set_timesteps(num_inference_steps)
        latents = self.prepare_latents(1, 8, generator)
        for t in self.scheduler.timesteps[:-1]:
            latents = self.scheduler.step(self.network(latents, t, text), t, latents).prev_sample
        return (self.vae.decode(latents / 0.2),)


def test_a_loop_that_leaves_its_last_timestep_out_ends_there():
    run = assert_equal(Leaving(network(), ToyDecoder(), scheduler()))
    assert len(run.grid) == 4
    assert run.grid[-1] == 0.25
    with pytest.raises(InputError, match=r"steps for 4 timesteps: expected one each$") as caught:
        run_of(Leaving(network(), ToyDecoder(), scheduler()), CALL, stated=True)
    assert type(caught.value) is InputError


def test_a_run_that_fails_in_its_first_turn_is_not_repeated():
    class Failing(ToyNetwork):
        def forward(self, x, t, text):
            self.calls += 1
            raise RuntimeError("out of memory")

    pipe = ToyPipeline(Failing().eval(), ToyDecoder(), scheduler())
    with pytest.raises(InputError, match="RuntimeError: out of memory"):
        run_of(pipe, CALL)
    assert pipe.network.calls == 1
