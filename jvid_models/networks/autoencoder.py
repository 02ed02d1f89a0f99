"""An image autoencoder of one's own: a class of diffusers with any factor, channels and widths.

    z = E(v),    v' = D(z + noise)

The noise is zero but in training (`jvid_training.train.autoencoding`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jvid.errors import InputError
from jvid.files import read_json
from jvid_models.adapters.encoder_outputs import latents_of
from jvid_models.codecs import CLASSES, autoencoder, class_of, factor_of

__all__ = ["Autoencoder", "is_autoencoder_folder"]


class Autoencoder(nn.Module):
    """A diffusers autoencoder whose ``forward`` takes the noise of its latents.

    ``kind`` is "AutoencoderTiny", "AutoencoderKL" or "AutoencoderDC", ``options`` are the class's own; ``scaling_factor`` is 1
    unless given, as codecs normalise latents themselves. Latents of a KL autoencoder are the mean of its posterior, as in
    `jvid_models.codecs.ImageCodec`.

    Raises:
        InputError: another class, or options that it does not take.
    """

    def __init__(self, kind: str = "AutoencoderTiny", **options: Any) -> None:
        super().__init__()
        if kind not in CLASSES:
            raise InputError(f"network.kind: got {kind!r}, expected one of {', '.join(CLASSES)}")
        self.kind = kind
        try:
            self.autoencoder: Any = class_of(kind)(**{"scaling_factor": 1.0, **options})
        except (TypeError, ValueError, KeyError, IndexError, RuntimeError) as error:
            raise InputError(f"network: {kind} does not take these options: {error}") from None

    @classmethod
    def load(cls, folder: str | Path) -> Autoencoder:
        """The autoencoder of a diffusers folder; errors as `jvid_models.codecs.autoencoder`."""
        loaded = autoencoder(folder).autoencoder
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.kind, made.autoencoder = type(loaded).__name__, loaded
        return made

    @property
    def channels(self) -> int:
        """Of the latents."""
        return int(self.autoencoder.config.latent_channels)

    @property
    def factor(self) -> int:
        """How many times smaller the latents' sides are."""
        return factor_of(self.autoencoder.config)

    @property
    def config(self) -> dict[str, Any]:
        """What makes the same network again, as plain values."""
        options = {key: value for key, value in self.autoencoder.config.items() if key[0] != "_"}
        if self.kind == "AutoencoderTiny":
            options.pop("block_out_channels", None)  # added by the class itself, which does not take it
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
        return {"kind": self.kind, **plain}

    def latents(self, frames: Tensor) -> Tensor:
        """Frames ``(b 3 H W)`` in [-1, 1] -> latents ``(b c H/factor W/factor)``."""
        return latents_of(self.autoencoder, frames)

    def encodes_as(self, other: Autoencoder) -> bool:
        """Whether both give the same latents of a frame, bit for bit: their decoders may differ."""
        if (self.factor, self.channels) != (other.factor, other.channels):
            return False
        side = 8 * self.factor
        frame = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
        with torch.no_grad():
            return torch.equal(self.latents(frame), other.latents(frame))

    def forward(self, frames: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Frames ``(b 3 H W)`` and noise of their latents -> reconstructions ``(b 3 H W)`` and latents without the noise."""
        z = self.latents(frames)
        return self.autoencoder.decode(z + noise).sample, z


def is_autoencoder_folder(folder: str | Path) -> bool:
    """Whether a folder holds an autoencoder of one of the classes of `jvid_models.codecs`, as diffusers writes it."""
    config = Path(folder) / "config.json"
    return (
        config.is_file()
        and read_json(config, "JSON as diffusers writes it", "export it again").get("_class_name") in CLASSES
    )
