"""What a denoiser of a pipeline takes, refuses and leaves behind, on a small pipeline and on tiny ones of diffusers."""

from __future__ import annotations

import threading

import diffusers
import pytest
import torch

from benchmarks.published.comparison import prepared_run
from benchmarks.published.tiny import build
from jvid.core.conditions import expand_rows
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.errors import InputError, MissingDependencyError
from jvid.testing import conforms
from jvid_models.adapters.pipelines import PipelinePrompts, from_folder, from_pipeline
from tests.jvid_models.adapters.pipelines.toys import GivenPipeline, ToyPipeline, toy

HALF = torch.tensor(0.5, dtype=torch.float64)


def denoiser_of(pipe, **options):
    return from_pipeline(pipe, untested=True, **options)


def prompts(*texts):
    return PipelinePrompts()(list(texts))


@pytest.fixture(scope="module")
def denoiser():
    return denoiser_of(toy())


def test_it_is_the_networks_x_0(denoiser):
    pipe, x = denoiser.pipe, torch.randn(2, 4, 1, 8, 8)
    text = pipe.encode_prompt(["a", "b"])
    n, bar = 499, float(pipe.scheduler.alphas_cumprod[499])
    with torch.no_grad():
        eps = pipe.network(x[:, :, 0], torch.tensor(n), text)
    wanted = (x[:, :, 0] - (1 - bar) ** 0.5 * eps) / bar**0.5
    got = denoiser(x, HALF, prompts("a", "b"))
    torch.testing.assert_close(got[:, :, 0], wanted, rtol=1e-5, atol=1e-5)
    assert denoiser.shape == (4, 1, 8, 8)
    assert denoiser.denoises == "frames"
    assert (denoiser.space.factor, denoiser.space.shift) == (8, pytest.approx(0.1, rel=1e-4))
    assert denoiser.space.scaling == pytest.approx(0.2, rel=1e-4)


def test_rows_have_times_of_their_own_and_one_prompt_serves_all(denoiser):
    x = torch.randn(2, 4, 1, 8, 8)
    times = torch.tensor([0.2, 0.7], dtype=torch.float64)
    both = denoiser(x, times, prompts("a"))
    for i in range(2):
        torch.testing.assert_close(both[i : i + 1], denoiser(x[i : i + 1], times[i], prompts("a")))


def test_it_conforms(denoiser):
    sizes = {"batch": 2, "channels": 4, "frames": 1, "sides": (8,)}
    report = conforms("denoiser", denoiser, examples=3, cond=lambda b, f: prompts(*["a"] * b), **sizes)
    assert report.ok, report


def test_frames_of_a_clip_and_guidance_outside(denoiser):
    clip, cond = torch.randn(1, 4, 3, 8, 8), prompts("a")
    by_frame = [denoiser(clip[:, :, i : i + 1], HALF, cond) for i in range(3)]
    torch.testing.assert_close(Framewise(denoiser)(clip, HALF, cond), torch.cat(by_frame, 2))
    x = clip[:, :, :1]
    null = {"prompt": cond["null"]["prompt"]}
    plain, empty = denoiser(x, HALF, {"prompt": cond["prompt"]}), denoiser(x, HALF, null)
    torch.testing.assert_close(Guided(denoiser, 3.0)(x, HALF, cond), empty + 3.0 * (plain - empty))


def test_prompts_are_encoded_once_a_condition_and_weights_are_read_at_each_call():
    pipe = toy()
    denoiser, x, cond = denoiser_of(pipe), torch.randn(1, 4, 1, 8, 8), prompts("a")
    first = denoiser(x, HALF, cond)
    before = pipe.encoded
    assert torch.equal(denoiser(x, HALF, cond), first)
    assert pipe.encoded == before
    denoiser(x, HALF, prompts("a"))
    assert pipe.encoded == before + 1
    pipe.network.mix.weight.data += 1
    assert not torch.equal(denoiser(x, HALF, cond), first)


def test_other_sizes_are_learned_or_refused(denoiser):
    x = torch.randn(1, 4, 1, 6, 6)
    assert denoiser(x, HALF, prompts("a")).shape == x.shape
    with pytest.raises(InputError, match=r"latents of shape \(1, 4, 1, 6, 7\)"):
        denoiser(torch.randn(1, 4, 1, 6, 7), HALF, prompts("a"))


def test_latents_as_an_argument_of_a_pipeline_that_prepares_none():
    denoiser = denoiser_of(toy(kind=GivenPipeline))
    pipe, x = denoiser.pipe, torch.randn(1, 4, 1, 8, 8)
    bar = float(pipe.scheduler.alphas_cumprod[499])
    with torch.no_grad():
        eps = pipe.network(x[:, :, 0].mT, torch.tensor(499), torch.tensor([1.0])).mT
    wanted = (x[:, :, 0] - (1 - bar) ** 0.5 * eps) / bar**0.5
    torch.testing.assert_close(denoiser(x, HALF, prompts("a"))[:, :, 0], wanted, rtol=1e-5, atol=1e-5)


FAULTS = {
    "scales": "scales its latents by 2",
    "adds": "between where it prepares them and scheduler.step",
    "counts": "not do the same in each turn of its loop: state the number of steps",
    "switches": "not do the same in each turn of its loop: state the number of steps",
    "steps": "guides by the number of steps, which an evaluation does not know: state it by num_inference_steps",
    "never": "never calls scheduler.step",
    "twice": "8 times for 4 timesteps",
    "mixes": "mixes its latents",
    "bends": "not explained",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_loop_that_is_not_explained_is_refused(fault):
    with pytest.raises(InputError, match=FAULTS[fault]) as error:
        _ = denoiser_of(toy(fault)).space
    assert str(error.value).startswith("ToyPipeline")
    assert "\n" not in str(error.value)


def test_what_interrupts_an_evaluation_leaves_the_pipeline_as_it_was(denoiser):
    pipe = denoiser.pipe
    before = dict(pipe.__dict__), dict(pipe.vae.__dict__), dict(pipe.network.__dict__)
    pipe.fault = "fails"
    with pytest.raises(KeyboardInterrupt):
        denoiser(torch.randn(1, 4, 1, 8, 8), HALF, prompts("a"))
    with pytest.raises(KeyboardInterrupt):
        denoiser(torch.randn(3, 4, 1, 8, 8), HALF, prompts("a"))  # in learning another batch
    pipe.fault = None
    after = pipe.__dict__, pipe.vae.__dict__, pipe.network.__dict__
    assert [set(one) for one in after] == [set(one) for one in before]
    assert after[0]["scheduler"] is before[0]["scheduler"]


def test_no_draw_of_the_global_generator(denoiser):
    state = torch.get_rng_state()
    denoiser(torch.randn(1, 4, 1, 8, 8, generator=torch.Generator()), HALF, prompts("a"))
    denoiser.frames(torch.zeros(1, 4, 1, 8, 8))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"guidance": 2.0}, "ToyPipeline has no option 'guidance': expected one of .*height"),
        ({"latents": 1}, "latents are the sampler's"),
        ({"num_inference_steps": 0}, "expected a whole number from 1"),
        ({"num_inference_steps": 2.5}, "expected a whole number from 1"),
    ],
)
def test_options_that_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        denoiser_of(toy(), **options)


def test_a_prompt_is_no_condition(denoiser):
    with pytest.raises(
        InputError, match="cond is a str: expected a condition, which an ensemble makes of prompts"
    ):
        denoiser(torch.zeros(1, *denoiser.shape), HALF, "a fox")


def test_bad_input(denoiser, tmp_path):
    x = torch.randn(1, 4, 1, 8, 8)
    with pytest.raises(InputError, match="ToyPipeline needs the condition 'prompt'"):
        denoiser(x, HALF, {"text": x})
    with pytest.raises(InputError, match="uint8"):
        denoiser(x, HALF, {"prompt": x})
    with pytest.raises(InputError, match="never compared"):
        from_pipeline(toy())
    with pytest.raises(InputError, match="expected a DiffusionPipeline"):
        from_pipeline(torch.nn.Linear(1, 1))
    with pytest.raises(MissingDependencyError, match=r"model_index\.json"):
        from_folder(tmp_path)
    with pytest.raises(InputError, match="num_inference_steps=9: expected a grid of so many steps; got 8"):
        denoiser_of(toy(), num_inference_steps=9).grid(8)


@pytest.mark.parametrize(
    "error",
    [
        NameError("name 'ftfy' is not defined", name="ftfy"),
        ImportError("No module named 'ftfy'", name="ftfy"),
    ],
)
def test_a_package_that_is_missing_is_named(error, monkeypatch):
    def encode_prompt(self, prompts):
        raise error

    monkeypatch.setattr(ToyPipeline, "encode_prompt", encode_prompt)
    with pytest.raises(MissingDependencyError, match=r"^ToyPipeline needs 'ftfy', .*: pip install ftfy$"):
        _ = denoiser_of(toy()).shape


def test_prompts_are_rows():
    cond = PipelinePrompts("plain")(["a dog", "ein Hündchen"])
    rows = expand_rows(cond, 2)
    assert rows["prompt"].shape == rows["null"]["prompt"].shape
    with pytest.raises(InputError, match="expected a list"):
        PipelinePrompts()("a dog")
    with pytest.raises(InputError, match="zero byte"):
        PipelinePrompts()(["a\0"])


def test_frames_are_the_pipelines_own_and_a_saved_folder_gives_the_same(tmp_path):
    run = prepared_run("StableDiffusionPipeline:ddim")
    pipe, options = run.denoiser.pipe, dict(run.denoiser.options)
    out = run.denoiser.frames(run.first)
    wanted = pipe.image_processor.postprocess(
        pipe.vae.decode(run.first[:, :, 0] / pipe.vae.config.scaling_factor).sample.detach(), output_type="np"
    )
    assert abs(out - wanted).max() < 1e-5
    pipe.save_pretrained(tmp_path)
    again = from_folder(tmp_path, untested=True, **options)
    cond = prompts(run.prompt)
    torch.testing.assert_close(
        again(run.first, HALF, cond), run.denoiser(run.first, HALF, cond), rtol=0, atol=0
    )
    with pytest.raises(InputError, match=r"no option 'nothing'"):
        from_folder(tmp_path, nothing=1)


def test_a_batch_is_its_clips_and_the_scale_of_guidance_is_the_pipelines():
    tiny = build("WanPipeline:2.2")
    options = {k: v for k, v in tiny.arguments.items() if k not in ("prompt", "num_inference_steps")}
    guided = denoiser_of(tiny.pipe, **options)
    plain = denoiser_of(tiny.pipe, **{**options, "guidance_scale": 1.0, "guidance_scale_2": 1.0})
    x = torch.randn(2, *guided.shape)
    both = prompts("a cat", "a dog on a street")
    one = torch.cat(
        [guided(x[i : i + 1], HALF, prompts(text)) for i, text in enumerate(("a cat", "a dog on a street"))]
    )
    torch.testing.assert_close(guided(x, HALF, both), one, rtol=1e-4, atol=1e-5)
    scale = (
        options["guidance_scale"]
        if float(HALF) >= tiny.pipe.config.boundary_ratio
        else options["guidance_scale_2"]
    )
    torch.testing.assert_close(Guided(plain, scale)(x, HALF, both), one, rtol=1e-4, atol=1e-5)


def test_a_waiting_run_ends_with_its_condition_and_with_an_error():
    run = prepared_run("LTX2Pipeline", steps=2)
    denoiser, pipe = run.denoiser, run.denoiser.pipe
    threads, before = threading.active_count(), set(pipe.__dict__)
    times = [torch.tensor(t, dtype=torch.float64) for t in run.grid]
    cond = prompts(run.prompt)
    denoiser(run.first, times[0], cond)
    assert threading.active_count() == threads + 1
    assert set(pipe.__dict__) == before
    assert isinstance(pipe.scheduler, diffusers.SchedulerMixin)
    assert "step" not in pipe.scheduler.__dict__
    del cond
    assert threading.active_count() == threads
    cond = prompts(run.prompt)
    denoiser(run.first, times[0], cond)
    own, pipe.transformer.forward = pipe.transformer.forward, None
    with pytest.raises(TypeError):
        denoiser(run.first, times[1], cond)
    pipe.transformer.forward = own
    assert threading.active_count() == threads
    assert set(pipe.__dict__) == before
