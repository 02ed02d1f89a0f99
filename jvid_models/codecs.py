"""Frames to latents and back, frame by frame.

    y = scaling (E(x) - shift - m) / s,   z = (y - mean) / std          x in [-1, 1], m, s, mean and std per channel
    y = z std + mean,   x = D(y s / scaling + m + shift)

A chunk of frames at a time goes through the autoencoder and into a tensor that was made for all: beyond this result, a
clip of any length takes the memory of one chunk. One frame at a time is as fast as many on a processor.

``scaling``, ``shift``, m and s (latents_mean, latents_std) are the autoencoder's own (0.18215, 0, 0 and 1 for Stable
Diffusion's AutoencoderKL; scaling 1 for TAESD, whose latents are scaled already). ``mean`` and ``std`` are of the training
latents, so that z has mean 0 and deviation 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from jvid.core.modules import Parts
from jvid.core.spaces import LatentSpace
from jvid.errors import InputError, MissingDependencyError, one_line
from jvid.extras import extra
from jvid.limits import whole_number
from jvid.machine.managed import arrive
from jvid_models.adapters.encoder_outputs import latents_of
from jvid_models.adapters.families import with_encoder
from jvid_models.adapters.movable import movable
from jvid_models.adapters.space_configs import normalisation_of
from jvid_models.clip_codec import ClipCodec
from jvid_models.paths import shared_file
from jvid_models.saved import load_saved, read_config
from jvid_models.weights import read_weights

__all__ = ["CLASSES", "ImageCodec", "autoencoder", "autoencoder_kl", "class_of", "factor_of", "taesd"]

CLASSES = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC")
"""The names of diffusers' image autoencoders that a codec is made of."""


def class_of(name: str) -> Any:
    """A class of diffusers, which is imported now: one's own networks take a codec without it; None where it has none."""
    with extra("models"):
        import diffusers

    return getattr(diffusers, name, None)


class ImageCodec:
    """A diffusers image autoencoder as a codec of videos.

    ``autoencoder``: of one of the `CLASSES` (or one of the same interface); ``mean`` and ``std``:
    one number per latent channel (0 and 1 when absent); ``chunk``: frames coded at a time, where a graphics card may
    like more than one. With 1, a frame's result has the same bits in any clip and any batch; other chunks differ from it by
    rounding (below 2e-5 in [-1, 1]), as torch convolves one image and several by different kernels. Latents of a KL
    autoencoder are the posterior's mean.
    """

    def __init__(
        self,
        autoencoder: Any,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        chunk: int = 1,
    ) -> None:
        if chunk < 1:
            raise InputError(f"chunk={chunk}: expected at least 1 frame")
        config = autoencoder.config
        self.autoencoder = autoencoder.eval().requires_grad_(False)
        self.chunk = chunk
        self.latent_channels = int(config.latent_channels)
        own = config if isinstance(config, Mapping) else vars(config)
        self.own = normalisation_of(own, type(autoencoder).__name__)
        self.scaling, self.shift = self.own.scaling, self.own.shift
        if self.own.mean and not len(self.own.mean) == len(self.own.std) == self.latent_channels:
            raise InputError(
                f"latents_mean of {len(self.own.mean)} values: expected {self.latent_channels}, one per latent channel"
            )
        self.factor = factor_of(config)
        self.mean = _per_channel("mean", mean, 0.0, self.latent_channels)
        self.std = _per_channel("std", std, 1.0, self.latent_channels)
        if any(value <= 0 for value in self.std):
            raise InputError(f"std={self.std}: expected positive deviations")

    @property
    def space(self) -> LatentSpace:
        """The latents that it makes, normalisation included."""
        kind = type(self.autoencoder).__name__
        scaling, shift = self.own.space_scaling, self.own.space_shift
        own = with_encoder(LatentSpace(kind, self.latent_channels, self.factor, scaling, shift), kind)
        if not any(self.mean) and set(self.std) == {1.0}:
            return own
        scalings = self._each(scaling)
        shifts = zip(self._each(shift), self.mean, scalings, strict=True)
        return attrs.evolve(
            own,
            scaling=tuple(s / std for s, std in zip(scalings, self.std, strict=True)),
            shift=tuple(shift + mean / s for shift, mean, s in shifts),
        )

    def _each(self, value: float | tuple[float, ...]) -> tuple[float, ...]:
        return value if isinstance(value, tuple) else (value,) * self.latent_channels

    def modules(self) -> Parts:
        """The autoencoder, if it may be moved."""
        return Parts(behind=movable({"autoencoder": self.autoencoder}))

    @torch.no_grad()
    def encode(self, video: Tensor) -> Tensor:
        """``(b 3 f H W)`` in [-1, 1] -> normalised latents ``(b c f H/factor W/factor)``, float32."""
        _expect_five(video, "video (b 3 f H W)", 3)
        if video.shape[-1] % self.factor or video.shape[-2] % self.factor:
            raise InputError(
                f"frames of {video.shape[-2]}x{video.shape[-1]}: expected multiples of {self.factor}; crop or resize"
            )
        b, _, f, height, width = video.shape
        shape = (b, self.latent_channels, f, height // self.factor, width // self.factor)
        return self._framewise(self._encode_frames, video, shape)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents ``(b c f h w)`` -> video ``(b 3 f H W)`` in [-1, 1], float32."""
        _expect_five(latents, f"latents (b {self.latent_channels} f h w)", self.latent_channels)
        b, _, f, height, width = latents.shape
        shape = (b, 3, f, height * self.factor, width * self.factor)
        return self._framewise(self._decode_frames, latents.float(), shape)

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> ImageCodec:
        """Moves the autoencoder; returns self."""
        # diffusers' own `to` warns of every dtype, None too, that modules should stay in float32 which there are not.
        nn.Module.to(self.autoencoder, device=device, dtype=dtype)
        return self

    def _encode_frames(self, frames: Tensor) -> Tensor:
        arrive(self.autoencoder)
        weight = next(self.autoencoder.parameters())
        raw = latents_of(self.autoencoder, frames.to(weight.device, weight.dtype)).float() - self.shift
        if self.own.mean:
            raw = (raw - self._column(self.own.mean, raw)) / self._column(self.own.std, raw)
        raw = raw * self.scaling
        return (raw - self._column(self.mean, raw)) / self._column(self.std, raw)

    def _decode_frames(self, latents: Tensor) -> Tensor:
        arrive(self.autoencoder)
        weight = next(self.autoencoder.parameters())
        raw = latents * self._column(self.std, latents) + self._column(self.mean, latents)
        if self.own.mean:
            raw = raw * self._column(self.own.std, raw) / self.scaling + self._column(self.own.mean, raw)
            raw = (raw + self.shift).to(weight.device, weight.dtype)
        else:
            raw = raw.to(weight.device, weight.dtype) / self.scaling + self.shift
        out: Tensor = self.autoencoder.decode(raw).sample
        return out.float().clamp_(-1.0, 1.0)

    def _framewise(self, code: Callable[[Tensor], Tensor], x: Tensor, shape: tuple[int, ...]) -> Tensor:
        """``code`` of every frame of ``x``, a chunk at a time, into one float32 tensor of ``shape``."""
        result = torch.empty(shape, device=x.device)
        frames, coded = x.movedim(2, 1), result.movedim(2, 1)  # views, (b f c h w)
        places = [(clip, frame) for clip in range(x.shape[0]) for frame in range(x.shape[2])]
        for start in range(0, len(places), self.chunk):
            part = places[start : start + self.chunk]
            made = code(torch.stack([frames[place] for place in part]))
            for place, one in zip(part, made, strict=True):
                coded[place] = one
        return result

    @staticmethod
    def _column(values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)


def factor_of(config: Any) -> int:
    """How many times smaller the latents' sides are, by an autoencoder's configuration."""
    blocks = getattr(config, "block_out_channels", None) or config.encoder_block_out_channels
    return int(2 ** (len(blocks) - 1))


def taesd(
    folder: str | Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    chunk: int = 1,
) -> ImageCodec:
    """TAESD, the tiny autoencoder of Stable Diffusion 1.5's latents (https://github.com/madebyollin/taesd).

    ``folder`` holds taesd_encoder.safetensors and taesd_decoder.safetensors in the original layout; default:
    ``weights`` of `jvid_models.paths.shared_root`.
    """
    files = []
    for part in ("encoder", "decoder"):
        name = f"taesd_{part}.safetensors"
        path = shared_file(f"weights/{name}") if folder is None else Path(folder) / name
        if not path.exists():
            raise MissingDependencyError(
                f"no {name} in {folder}: give the folder that holds TAESD's two files"
            )
        files.append(read_weights(path))
    encoder, decoder = files
    state = {f"encoder.layers.{key}": value.float() for key, value in encoder.items()}
    for key, value in decoder.items():
        # The original decoder's layer 0 is the clamp, which diffusers applies outside its list of layers.
        index, _, rest = key.partition(".")
        if (layer := whole_number(index)) is None:
            raise InputError(
                f"unexpected key {key!r} in taesd_decoder.safetensors: expected TAESD's original layout"
            )
        state[f"decoder.layers.{layer - 1}.{rest}"] = value.float()
    model: Any = class_of("AutoencoderTiny")()
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise InputError(f"TAESD's weights do not fit: {one_line(error, first=True)}") from None
    return ImageCodec(model, mean, std, chunk)


def autoencoder(
    folder: str | Path,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    chunk: int = 1,
    variant: str | None = None,
) -> ImageCodec | ClipCodec:
    """An autoencoder from a local diffusers folder; its ``vae`` subfolder is found too.

    One of the `CLASSES` codes frame by frame. Any other class of diffusers that convolves over time codes whole clips, in the
    scale of its own pipelines; it takes no ``mean``, ``std`` and ``chunk``. ``variant`` of the weights' files, such as "fp16"; by
    default the plain ones, or the only variant.
    """
    root = Path(folder)
    root = root / "vae" if (root / "vae").is_dir() else root
    kind = read_config(root / "config.json", "an autoencoder").get("_class_name")
    if kind is None or kind in CLASSES:
        model = load_saved(class_of(kind or "AutoencoderKL"), root, "an autoencoder", variant)
        return ImageCodec(model, mean, std, chunk)
    cls = class_of(kind)
    if not isinstance(cls, type) or not hasattr(cls, "encode"):
        raise InputError(
            f"{root} holds a {kind}: expected one of {', '.join(CLASSES)}, or an autoencoder of clips"
        )
    if mean is not None or std is not None or chunk != 1:
        raise InputError(
            f"{root} holds a {kind}: it codes whole clips in its own scale, leave mean, std and chunk out"
        )
    return ClipCodec(load_saved(cls, root, "an autoencoder", variant))


@wraps(autoencoder)
def autoencoder_kl(*args: Any, **kwargs: Any) -> ImageCodec | ClipCodec:
    """`autoencoder` under its name in 0.1.0.

    Warns:
        DeprecationWarning: with the new name.
    """
    warnings.warn(
        "the codec 'autoencoder-kl' is named 'autoencoder' since jvid 0.2: use that name",
        DeprecationWarning,
        stacklevel=2,
    )
    return autoencoder(*args, **kwargs)


def _per_channel(
    name: str, values: Sequence[float] | None, default: float, channels: int
) -> tuple[float, ...]:
    if values is None:
        return (default,) * channels
    if len(values) != channels:
        raise InputError(f"{name} has {len(values)} values: expected {channels}, one per latent channel")
    return tuple(float(value) for value in values)


def _expect_five(x: Tensor, what: str, channels: int) -> None:
    if x.ndim != 5 or x.shape[1] != channels:
        raise InputError(f"got a tensor of shape {tuple(x.shape)}: expected {what}")
