"""Autoencoders and their configs as latent spaces: diffusers' own factors, scalings and families of equal encoders."""

from __future__ import annotations

import inspect

import attrs
import diffusers
import pytest
import torch

import jvid
from jvid.core.spaces import LatentSpace, affine
from jvid.errors import InputError
from jvid.testing import GaussianOracle
from jvid_models.adapters.families import FAMILIES, with_encoder
from jvid_models.adapters.space_configs import space_of_autoencoder, space_of_config
from jvid_models.codecs import ImageCodec

SMALL = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
DOWN = {"down_block_types": ("DownEncoderBlock2D",) * 2}
SD15 = {  # Stable Diffusion 1.x as published: it states no scaling_factor
    "_class_name": "AutoencoderKL", "_diffusers_version": "0.6.0", "block_out_channels": [128, 256, 512, 512],
    "in_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3,
    "sample_size": 512,
}  # fmt: skip
SD = LatentSpace("AutoencoderKL", scaling=0.18215)


def test_what_a_config_leaves_out_is_diffusers_default():
    assert space_of_config(SD15) == SD == space_of_config(SD15 | {"scaling_factor": 0.18215})
    for kind in ("AutoencoderKL", "AutoencoderTiny", "AutoencoderKLTemporalDecoder"):
        default = inspect.signature(getattr(diffusers, kind).__init__).parameters["scaling_factor"].default
        blocks = {"latent_channels": 4, "block_out_channels": [1, 2]}
        assert space_of_config({"_class_name": kind, **blocks}).scaling == default
    # Blocks that are left out are diffusers', too: one, which halves nothing.
    assert space_of_config({"_class_name": "AutoencoderKL"}).factor == 1


@pytest.mark.parametrize(
    ("kind", "channels", "factor", "frames"),
    [
        ("AutoencoderKLMochi", 12, 8, 6),
        ("AutoencoderKLHunyuanVideo", 16, 8, 4),
        ("AutoencoderKLHunyuanVideo15", 32, 16, 4),
        ("AutoencoderKLCogVideoX", 16, 8, 4),
        ("AutoencoderKLCosmos", 16, 8, 8),
        ("AutoencoderKLAllegro", 4, 8, 4),
        ("AutoencoderDC", 32, 32, 1),
    ],
)
def test_factors_are_those_of_diffusers_encoders(kind, channels, factor, frames):
    if kind in ("AutoencoderKLCogVideoX", "AutoencoderKLAllegro"):  # their defaults are of a test's size
        config = {
            "_class_name": kind,
            "block_out_channels": [128, 256, 256, 512],
            "latent_channels": channels,
        }
        config["down_block_types"] = {
            "AutoencoderKLCogVideoX": ["CogVideoXDownBlock3D"] * 4,
            "AutoencoderKLAllegro": ["AllegroDownBlock3D"] * 4,
        }[kind]
    else:
        config = {"_class_name": kind}
    space = space_of_config(config)
    assert (space.channels, space.factor, space.frames) == (channels, factor, frames)
    defaults = inspect.signature(getattr(diffusers, kind).__init__).parameters
    assert isinstance(space.scaling, tuple) or space.scaling == defaults["scaling_factor"].default


def test_latents_of_mochi_are_normalised_by_channel():
    space = space_of_config({"_class_name": "AutoencoderKLMochi"})
    defaults = inspect.signature(diffusers.AutoencoderKLMochi.__init__).parameters
    assert space.scaling == pytest.approx([1 / std for std in defaults["latents_std"].default])
    assert space.shift == pytest.approx(defaults["latents_mean"].default)


@pytest.mark.parametrize("kind", ["AutoencoderKLLTXVideo", "AutoencoderKLLTX2Video"])
def test_ltxs_means_are_among_its_weights(kind):
    with pytest.raises(InputError, match="the autoencoder itself"):
        space_of_config({"_class_name": kind})
    with torch.device("meta"):
        model = getattr(diffusers, kind)()
    for name, value in (("latents_mean", 0.25), ("latents_std", 2.0)):
        setattr(model, name, torch.full((128,), value))
    assert space_of_autoencoder(model) == LatentSpace(kind, 128, 32, 0.5, 0.25, 8)


def test_measuring_draws_no_random_number():
    before = torch.get_rng_state()
    space_of_config(
        {"_class_name": "AutoencoderKLMochi", "latents_std": [1.0] * 12, "latents_mean": [0.0] * 12}
    )
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"_class_name": "AutoencoderKLFlux2"}, "AutoencoderKLFlux2"),
        ({"_class_name": "AutoencoderOfNobody", "latent_channels": 4}, "AutoencoderOfNobody"),
        ({"_class_name": "UNet2DConditionModel"}, "UNet2DConditionModel"),
        (SD15 | {"latents_std": [0.0] * 4, "latents_mean": [0.0] * 4}, "latents_std"),
        (SD15 | {"latents_std": [1.0] * 4}, "4 latents_std"),
        (
            {"latent_channels": 128, "block_out_channels": [1, 2], "spatio_temporal_scaling": [True]},
            "spatio_temporal_scaling",
        ),
    ],
)
def test_what_is_not_understood_is_named(config, named):
    with pytest.raises(InputError, match=named) as caught:
        space_of_config(config)
    assert "\n" not in str(caught.value)


def test_what_is_no_autoencoder_is_refused():
    with pytest.raises(InputError, match="got a Linear for an autoencoder"):
        space_of_autoencoder(torch.nn.Linear(1, 1))


def test_svd_has_the_encoder_of_stable_diffusion():
    torch.manual_seed(0)
    video = diffusers.AutoencoderKLTemporalDecoder(block_out_channels=(32, 32), layers_per_block=1, **DOWN)
    image = diffusers.AutoencoderKL(
        block_out_channels=(32, 32), layers_per_block=1, **DOWN, up_block_types=("UpDecoderBlock2D",) * 2
    ).eval()
    ours = {k: v for k, v in image.state_dict().items() if k.startswith(("encoder.", "quant_conv."))}
    theirs = {k: v for k, v in video.state_dict().items() if k.startswith(("encoder.", "quant_conv."))}
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
    video.load_state_dict(ours, strict=False)
    x = torch.randn(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(image.encode(x).latent_dist.mean, video.eval().encode(x).latent_dist.mean)
    published = SD15 | {"_class_name": "AutoencoderKLTemporalDecoder", "scaling_factor": 0.18215}
    assert space_of_config(published) == SD
    assert space_of_config(published | {"scaling_factor": 0.2}) != space_of_config(
        SD15 | {"scaling_factor": 0.2}
    )


def test_qwen_image_has_the_latents_of_wan():
    family = FAMILIES[1][0]
    tiny = {"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    torch.manual_seed(0)
    wan, qwen = (
        getattr(diffusers, name)(**tiny).eval() for name in ("AutoencoderKLWan", "AutoencoderKLQwenImage")
    )
    assert {k: v.shape for k, v in wan.state_dict().items()} == {
        k: v.shape for k, v in qwen.state_dict().items()
    }
    qwen.load_state_dict(wan.state_dict())
    x, z = torch.randn(1, 3, 1, 16, 16), torch.randn(1, 16, 1, 2, 2)
    with torch.no_grad():
        assert torch.equal(wan.encode(x).latent_dist.mean, qwen.encode(x).latent_dist.mean)
        assert torch.equal(wan.decode(z).sample, qwen.decode(z).sample)
    assert space_of_autoencoder(wan) == space_of_autoencoder(qwen) == family
    assert space_of_config({"_class_name": "AutoencoderKLQwenImage", **tiny}) == family
    measured = attrs.evolve(
        family, autoencoder="AutoencoderKLQwenImage", scaling=[value * (1 + 1e-6) for value in family.scaling]
    )
    assert measured != family
    assert with_encoder(measured, "AutoencoderKLQwenImage") == family
    # Numbers that are not Wan's are of weights that nobody has compared.
    other = {"latents_mean": [0.0] * 16, "latents_std": [1.0] * 16}
    spaces = [
        space_of_config({"_class_name": kind, **tiny, **other})
        for kind in ("AutoencoderKLWan", "AutoencoderKLQwenImage")
    ]
    assert spaces[0] != spaces[1]


def test_a_codec_applies_the_configs_means_and_deviations():
    mean, std = [0.5, -0.5, 1.0, 2.0], [2.0, 0.5, 1.5, 3.0]
    torch.manual_seed(0)
    model = diffusers.AutoencoderKL(
        **SMALL, **DOWN, up_block_types=("UpDecoderBlock2D",) * 2, latents_mean=mean, latents_std=std
    ).eval()  # fmt: skip
    codec = ImageCodec(model)
    x, z = torch.rand(1, 3, 2, 8, 8) * 2 - 1, torch.randn(1, 4, 2, 4, 4)
    m, s = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    with torch.no_grad():
        for frame in range(2):
            raw = model.encode(x[:, :, frame]).latent_dist.mode()
            torch.testing.assert_close(codec.encode(x)[:, :, frame], (raw - m) * 0.18215 / s)
            # As diffusers' pipelines have it: latents * latents_std / scaling_factor + latents_mean.
            pictures = model.decode(z[:, :, frame] * s / 0.18215 + m).sample.clamp(-1, 1)
            torch.testing.assert_close(codec.decode(z)[:, :, frame], pictures)
    own = space_of_autoencoder(model)
    assert codec.space == own
    assert own.scaling == pytest.approx([0.18215 / value for value in std])
    assert own.shift == pytest.approx(mean)


def test_a_codec_that_normalises_sds_latents_is_related_to_them():
    model = diffusers.AutoencoderKL(
        block_out_channels=(4,) * 4, norm_num_groups=4, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )  # fmt: skip
    assert ImageCodec(model).space == SD
    mean = [0.3, -0.2, 0.1, 0.5]
    codec = ImageCodec(model, mean, [2.0] * 4)
    a, b = affine(ImageCodec(model).space, codec.space)
    x = torch.rand(1, 3, 1, 16, 16) * 2 - 1
    expected = a * ImageCodec(model).encode(x) + torch.tensor(b).view(1, -1, 1, 1, 1)
    torch.testing.assert_close(codec.encode(x), expected, atol=1e-5, rtol=1e-5)
    schedule = jvid.TabulatedSchedule.scaled_linear()

    def expert(space):
        oracle = GaussianOracle(schedule)
        return jvid.Expert(
            attrs.make_class("Own", {"space": attrs.field(default=space)}, bases=(type(oracle),))(schedule)
        )

    experts = {"video": expert(codec.space), "image": expert(ImageCodec(model).space)}
    jvid.Sampler(experts, jvid.Always("video"), jvid.DDIM(), jvid.Leading(2))
