"""diffusers UNets as denoisers."""

from __future__ import annotations

import json

import diffusers
import pytest
import torch

from jvid.core.conditions import PerFrame
from jvid.core.keyed import keyed_normal
from jvid.core.protocols import Expert
from jvid.core.sampler import Sampler
from jvid.core.state import streams_of
from jvid.denoisers.framewise import Framewise
from jvid.denoisers.guided import Guided
from jvid.errors import InputError, MissingDependencyError
from jvid.grids import Leading
from jvid.schedules import FlowMatching, TabulatedSchedule, VarianceExploding
from jvid.selectors import Always
from jvid.solvers import DDPM
from jvid_models.adapters.scheduler_configs import schedule_of
from jvid_models.adapters.unet import from_pretrained, from_unet
from jvid_models.networks.table1 import SCHEDULER
from jvid_models.networks.unets import build_unet, image_unet, options_of, video_unet

TINY = {"channels": (16, 32), "layers": 1, "text_width": 12, "groups": 8, "heads": 2}


@pytest.fixture(scope="module")
def image():
    torch.manual_seed(0)
    return image_unet(**TINY).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def video():
    torch.manual_seed(1)
    unet = video_unet(**TINY).eval().requires_grad_(False)
    for name, weight in unet.named_parameters():
        if "temp_convs" in name and not weight.any():
            weight.normal_(0, 0.05)
    return unet


def test_a_video_unet_equals_diffusers_by_hand(video):
    scheduler = diffusers.DDPMScheduler(**SCHEDULER, clip_sample=False)
    denoiser = from_unet(video, scheduler)
    x, text = torch.randn(2, 4, 3, 8, 8), torch.randn(2, 5, 12)
    for n in (0, 1, 417, 980, 999):
        t = torch.tensor((n + 1) / 1000, dtype=torch.float64)
        eps = video(x, n, text).sample
        by_hand = scheduler.step(eps, n, x).pred_original_sample
        torch.testing.assert_close(denoiser(x, t, {"text": text}), by_hand, atol=1e-5, rtol=1e-4)


def test_an_image_unet_takes_frames_and_each_its_own_time(image):
    denoiser = from_unet(image, SCHEDULER, dtype=torch.float32)
    x, text = torch.randn(3, 4, 1, 8, 8), torch.randn(3, 5, 12)
    n = torch.tensor([3, 500, 999])
    got = denoiser.network(x, (n + 1).double() / 1000, {"text": text, "null": {"text": text[:1]}})
    torch.testing.assert_close(got[:, :, 0], image(x[:, :, 0], n, text).sample, atol=1e-6, rtol=1e-6)


def test_timesteps_are_the_networks_own(video, image):
    table = from_unet(video, SCHEDULER).network
    every = (torch.arange(1000, dtype=torch.float64) + 1) / 1000
    assert torch.equal(table.timestep(every), torch.arange(1000.0))
    assert table.timestep(torch.tensor(0.0, dtype=torch.float64)) == 0
    assert table.timestep(torch.tensor(0.5005, dtype=torch.float64)) == pytest.approx(499.5)
    flow = from_unet(image, {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0})
    peer = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
    t = torch.linspace(1, 1 / 1000, 1000, dtype=torch.float64)
    torch.testing.assert_close(flow.network.timestep(t), peer.timesteps, atol=1e-3, rtol=1e-5)
    assert (flow.schedule, flow.prediction) == (FlowMatching(3.0), "flow")


@pytest.mark.parametrize(
    "options",
    [
        {"beta_schedule": "linear"},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": [0.01, 0.02, 0.5]},
        {"beta_schedule": "linear", "rescale_betas_zero_snr": True},
        {"beta_schedule": "linear", "num_train_timesteps": 37},
    ],
)
@pytest.mark.parametrize(
    ("stated", "prediction"), [("epsilon", "eps"), ("v_prediction", "v"), ("sample", "x0")]
)
def test_every_table_and_prediction_of_diffusers(options, stated, prediction):
    peer = diffusers.DDPMScheduler(**options, prediction_type=stated)
    schedule, got = schedule_of(peer.config)
    assert got == prediction
    assert isinstance(schedule, TabulatedSchedule)
    table = torch.tensor(schedule.alphas_cumprod)
    torch.testing.assert_close(table, peer.alphas_cumprod, atol=2e-6, rtol=2e-4)


@pytest.mark.parametrize("stated", ["v_prediction", "sample"])
def test_other_predictions_equal_diffusers(video, stated):
    scheduler = diffusers.DDPMScheduler(**(SCHEDULER | {"prediction_type": stated}), clip_sample=False)
    denoiser = from_unet(video, scheduler.config)
    x, text = torch.randn(1, 4, 3, 8, 8), torch.randn(1, 5, 12)
    by_hand = scheduler.step(video(x, 600, text).sample, 600, x).pred_original_sample
    got = denoiser(x, torch.tensor(0.601, dtype=torch.float64), {"text": text})
    torch.testing.assert_close(got, by_hand, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("stated", ["epsilon", "v_prediction"])
def test_an_edm_scheduler_preconditions_the_unet(image, stated):
    scheduler = diffusers.EDMEulerScheduler(prediction_type=stated)
    scheduler.set_timesteps(4)
    denoiser = from_unet(image, scheduler)
    x, text = torch.randn(2, 4, 1, 8, 8), torch.randn(2, 5, 12)
    for sigma, n in zip(scheduler.sigmas[:-1], scheduler.timesteps, strict=True):
        t = denoiser.schedule.time_at(torch.atan(sigma.double()))
        noisy = x * sigma
        out = image(scheduler.precondition_inputs(noisy[:, :, 0], sigma), n, text).sample
        by_hand = scheduler.precondition_outputs(noisy[:, :, 0], out, sigma)
        torch.testing.assert_close(denoiser(noisy, t, {"text": text})[:, :, 0], by_hand, atol=1e-4, rtol=1e-4)
    assert denoiser.denoises == "frames"
    with pytest.raises(InputError, match="preconditioned"):
        from_unet(image, scheduler, "eps")


def test_the_networks_dtype_stays_inside(video):
    x, t, cond = torch.randn(1, 4, 2, 8, 8), torch.tensor(0.5), {"text": torch.randn(1, 5, 12)}
    full = from_unet(video, SCHEDULER)(x, t, cond)
    copy = video_unet(**TINY)
    copy.load_state_dict(video.state_dict())
    half = from_unet(copy, SCHEDULER, dtype=torch.bfloat16)
    assert next(half.network.unet.parameters()).dtype == torch.bfloat16
    for dtype in (torch.float32, torch.float64):
        got = half(x.to(dtype), t, cond)
        assert got.dtype == dtype
        torch.testing.assert_close(got.float(), full, atol=0.1, rtol=0.1)


def test_one_row_of_text_serves_a_batch(video):
    denoiser = from_unet(video, SCHEDULER)
    x, text = torch.randn(3, 4, 2, 8, 8), torch.randn(1, 5, 12)
    t = torch.tensor(0.3)
    one, three = denoiser(x, t, {"text": text}), denoiser(x, t, {"text": text.expand(3, 5, 12)})
    torch.testing.assert_close(one, three)


def ddpm_by_hand(unet, x, text, null, guidance, streams, steps):
    """A plain diffusers loop in float64, frames folded for an image UNet, with the sampler's noise."""
    scheduler = diffusers.DDPMScheduler(**SCHEDULER, clip_sample=False)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    scheduler.alphas_cumprod = (1 - betas).cumprod(0)
    scheduler.one = scheduler.one.double()
    scheduler.set_timesteps(steps)
    is_image = type(unet).__name__ == "UNet2DConditionModel"
    frames = x.shape[2]

    def predict(x, n, text):
        if not is_image:
            return unet(x, n, text).sample
        folded = x.movedim(2, 1).flatten(0, 1)
        out = unet(folded, n, text.repeat_interleave(frames, 0)).sample
        return out.unflatten(0, (-1, frames)).movedim(1, 2)

    for index, n in enumerate(scheduler.timesteps.tolist()):
        eps_null, eps_text = predict(x, n, null), predict(x, n, text)
        eps = eps_null + guidance * (eps_text - eps_null)
        stepped = scheduler.step(eps, n, x, generator=torch.Generator().manual_seed(0))
        previous = n - 1000 // steps
        # The mean is what diffusers returns less the noise that it drew; ours replaces it.
        mean = stepped.prev_sample
        if n > 0:
            deviation = scheduler._get_variance(n) ** 0.5
            drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
            mean = mean - deviation * drawn
        if previous >= 0:
            mean = mean + deviation * sampler_noise(streams, index, x)
        x = mean
    return x


def sampler_noise(streams, index, like):
    """What `IndependentNoise` makes of the keyed draws of step ``index``, without the sampler."""
    from jvid.noise import IndependentNoise

    def draw(name, shape):
        return keyed_normal(streams, (index, "z", name), shape[1:], like.dtype, like.device)

    return IndependentNoise()(tuple(like.shape), draw)


@pytest.mark.parametrize("kind", ["video", "image"])
def test_a_whole_run_equals_a_diffusers_loop(kind, image, video):
    trained = {"image": image, "video": video}[kind]
    unet = build_unet(**options_of(trained))
    unet.load_state_dict(trained.state_dict())
    unet = unet.double().eval().requires_grad_(False)
    denoiser = from_unet(unet, SCHEDULER)
    lifted = Framewise(denoiser) if kind == "image" else denoiser
    sampler = Sampler({"only": Expert(Guided(lifted, 2.0))}, Always("only"), DDPM(), Leading(10))
    text, null = torch.randn(2, 5, 12, dtype=torch.float64), torch.randn(2, 5, 12, dtype=torch.float64)
    seeds = (3, 11)
    x = torch.randn(2, 4, 3, 8, 8, dtype=torch.float64)
    cond = {"text": text, "null": {"text": null}}
    got = sampler(seeds=seeds, x=x, cond=cond, dtype=torch.float64)
    by_hand = ddpm_by_hand(unet, x, text, null, 2.0, streams_of(x, seeds), 10)
    # diffusers embeds timesteps in float32, as our timesteps are: the rest is float64.
    assert ((got - by_hand).norm() / by_hand.norm()).item() < 1e-9


def test_what_does_not_fit_is_reported(image, video):
    x, t, text = torch.randn(1, 4, 2, 8, 8), torch.tensor(0.5), torch.randn(1, 5, 12)
    with pytest.raises(InputError, match="Framewise"):
        from_unet(image, SCHEDULER)(x, t, {"text": text})
    denoiser = from_unet(video, SCHEDULER)
    with pytest.raises(InputError, match="'text'"):
        denoiser(x, t, {})
    with pytest.raises(InputError, match="takes 4"):
        denoiser(x[:, :3], t, {"text": text})
    with pytest.raises(InputError, match=r"\(b, n, 12\)"):
        denoiser(x, t, {"text": text[..., :8]})
    with pytest.raises(InputError, match="PerFrame"):
        denoiser(x, t, {"text": PerFrame(text[:, :2])})
    with pytest.raises(InputError, match="got a Linear"):
        from_unet(torch.nn.Linear(1, 1), SCHEDULER)
    with pytest.raises(InputError, match="no timesteps"):
        from_unet(video, VarianceExploding())
    for config, printed in (
        ({"beta_schedule": "sigmoid"}, "sigmoid"),
        ({"prediction_type": "score"}, "score"),
        ({"use_dynamic_shifting": True}, "use_dynamic_shifting"),
        ({"_class_name": "EDMEulerScheduler"}, "EDM"),
        (3, "got a int"),
    ):
        with pytest.raises(InputError, match=printed):
            schedule_of(config)


def test_a_diffusers_folder_loads(tmp_path, image):
    with pytest.raises(MissingDependencyError, match=r"config\.json"):
        from_pretrained(tmp_path)
    image.save_pretrained(tmp_path / "unet")
    with pytest.raises(MissingDependencyError, match="scheduler"):
        from_pretrained(tmp_path)
    diffusers.DDIMScheduler(**SCHEDULER).save_pretrained(tmp_path / "scheduler")
    x, t, cond = torch.randn(2, 4, 1, 8, 8), torch.tensor(0.7), {"text": torch.randn(2, 5, 12)}
    loaded = from_pretrained(tmp_path)
    torch.testing.assert_close(loaded(x, t, cond), from_unet(image, SCHEDULER)(x, t, cond))
    weights = next((tmp_path / "unet").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(InputError, match="cannot load a UNet"):
        from_pretrained(tmp_path)
    (tmp_path / "unet" / "config.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        from_pretrained(tmp_path)
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"_class_name": "UNet1DModel"}))
    with pytest.raises(InputError, match="UNet1DModel"):
        from_pretrained(tmp_path)
