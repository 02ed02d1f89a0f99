"""Latent spaces: compared by value, read from configs, refused where they differ."""

from __future__ import annotations

import pickle

import attrs
import pytest
import torch

import jvid
from jvid.core.spaces import LatentSpace, same_space, space_of
from jvid.errors import InputError
from jvid.schedules import TabulatedSchedule
from jvid.testing import GaussianOracle

VP = TabulatedSchedule.scaled_linear()
SD = LatentSpace("stable-diffusion-1", scaling=0.18215)
CHANGES = {
    "autoencoder": "stable-diffusion-xl",
    "channels": 16,
    "factor": 16,
    "scaling": 0.13025,
    "shift": 0.1,
    "frames": 4,
}


@attrs.frozen
class Placed:
    """An oracle that says which space it denoises."""

    space: LatentSpace | None
    schedule: TabulatedSchedule = VP

    def __call__(self, x, t, cond):
        return GaussianOracle(self.schedule)(x, t, cond)


def sampler(**spaces):
    experts = {name: jvid.Expert(Placed(space)) for name, space in spaces.items()}
    return jvid.Sampler(experts, jvid.Always("video"), jvid.DDIM(), jvid.Leading(2))


def test_spaces_compare_by_value():
    assert LatentSpace("stable-diffusion-1", 4, 8, 0.18215) == SD
    assert pickle.loads(pickle.dumps(SD)) == SD
    assert LatentSpace("a", scaling=[2, 2, 2, 2]) == LatentSpace("a", scaling=2)
    assert len({SD, LatentSpace("stable-diffusion-1", scaling=0.18215)}) == 1


@pytest.mark.parametrize("field", CHANGES)
def test_experts_of_different_spaces_are_refused_and_both_named(field):
    other = attrs.evolve(SD, **{field: CHANGES[field]})
    with pytest.raises(InputError) as caught:
        sampler(video=SD, image=other)
    printed = str(caught.value)
    for part in ("'video'", "'image'", str(SD), str(other)):
        assert part in printed
    assert str(SD) != str(other)
    assert "\n" not in printed


def test_a_denoiser_that_does_not_say_is_trusted():
    sampler(video=SD, image=None)
    sampler(video=SD, image=attrs.evolve(SD))
    assert same_space({"a": Placed(None)}) is None
    assert same_space({"a": Placed(None), "b": Placed(SD)}) == SD
    assert space_of(GaussianOracle(VP)) is None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: jvid.Guided(d, 3.0),
        jvid.Framewise,
        lambda d: jvid.Bridged(d, jvid.FlowMatching()),
        lambda d: jvid.Guided(jvid.Framewise(d), 0.0),
    ],
)
def test_wrappers_forward_the_space(wrap):
    assert space_of(wrap(Placed(SD))) == SD
    with pytest.raises(InputError, match="do not share a latent space"):
        jvid.Sampler(
            {"video": jvid.Expert(wrap(Placed(SD))), "image": jvid.Expert(Placed(attrs.evolve(SD, factor=16)))},
            jvid.Always("video"), jvid.DDIM(), jvid.Leading(2),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ({"autoencoder": ""}, "its name"),
        ({"channels": 0}, "channels=0"),
        ({"factor": 8.0}, "factor=8.0"),
        ({"scaling": [1.0, 2.0]}, "of 2 values"),
        ({"scaling": 0.0}, "no scaling of 0"),
        ({"shift": float("nan")}, "shift=nan"),
    ],
)
def test_what_is_not_a_space_is_reported(options, printed):
    with pytest.raises(InputError) as caught:
        LatentSpace(**{"autoencoder": "a", **options})
    assert printed in str(caught.value)


def test_configs_of_diffusers_autoencoders():
    from jvid_models.adapters.space_configs import space_of_config

    blocks = [128, 256, 512, 512]
    kl = {
        "_class_name": "AutoencoderKL",
        "latent_channels": 4,
        "block_out_channels": blocks,
        "scaling_factor": 0.18215,
    }
    assert space_of_config(kl) == LatentSpace("AutoencoderKL", scaling=0.18215)
    assert space_of_config(kl) != space_of_config(kl | {"scaling_factor": 0.13025})
    assert space_of_config(kl, "mine").autoencoder == "mine"
    wan = {
        "_class_name": "AutoencoderKLWan", "z_dim": 2, "dim_mult": [1, 2, 4, 4], "temperal_downsample": [False, True, True],
        "latents_mean": [0.5, -0.5], "latents_std": [2.0, 4.0],
    }  # fmt: skip
    assert space_of_config(wan) == LatentSpace("AutoencoderKLWan", 2, 8, (0.5, 0.25), (0.5, -0.5), 4)
    for wrong in ({}, {"latent_channels": 4}):
        with pytest.raises(InputError):
            space_of_config(wrong)


def test_a_codecs_space_is_what_its_latents_are():
    from diffusers import AutoencoderKL, AutoencoderTiny

    from jvid_models.adapters.space_configs import space_of_config
    from jvid_models.codecs import ImageCodec

    small = {"block_out_channels": (8, 8), "norm_num_groups": 4, "layers_per_block": 1}
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2, **small
    )
    plain = ImageCodec(model)
    assert plain.space == space_of_config({"_class_name": "AutoencoderKL", **model.config})
    mean, std = [0.1, 0.2, 0.3, 0.4], [1.0, 2.0, 3.0, 4.0]
    codec = ImageCodec(model, mean, std)
    frames = torch.rand(1, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    # The one number that both say: z = scaling (E(x) - shift).
    column = lambda values: torch.tensor(values).view(1, -1, 1, 1, 1)  # noqa: E731
    raw = plain.encode(frames) / plain.scaling
    expected = column(codec.space.scaling) * (raw - column(codec.space.shift))
    torch.testing.assert_close(codec.encode(frames), expected)
    assert ImageCodec(AutoencoderTiny()).space == LatentSpace("AutoencoderTiny")


def test_the_bundled_ensemble_declares_its_space_without_loading():
    from jvid_models.ensembles.bundled import actions_64

    try:
        ensemble = actions_64()
    except InputError:
        raise
    except Exception as error:
        pytest.skip(str(error))
    space = ensemble.space
    assert (space.autoencoder, space.channels, space.factor) == ("AutoencoderTiny", 4, 8)
    assert not any(member.denoiser.is_made for member in ensemble.members.values())


def test_a_folder_and_a_unet_say_their_space(tmp_path):
    import json

    from jvid_models.adapters.unet import from_pretrained, from_unet
    from jvid_models.networks.unets import image_unet

    unet = image_unet(channels=(32, 32), layers=1, head_width=16, text_width=16)
    unet.save_pretrained(tmp_path / "unet")
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler" / "scheduler_config.json").write_text('{"beta_schedule": "scaled_linear"}')
    assert from_pretrained(tmp_path).space is None
    (tmp_path / "vae").mkdir()
    config = {
        "_class_name": "AutoencoderKL",
        "latent_channels": 4,
        "block_out_channels": [1, 2],
        "scaling_factor": 0.5,
    }
    (tmp_path / "vae" / "config.json").write_text(json.dumps(config))
    assert from_pretrained(tmp_path).space == LatentSpace("AutoencoderKL", 4, 2, 0.5)
    assert from_pretrained(tmp_path, space=SD).space == SD
    assert from_unet(unet, VP, space=SD).space == SD
    with pytest.raises(InputError, match="16 channels"):
        from_unet(unet, VP, space=attrs.evolve(SD, channels=16))
